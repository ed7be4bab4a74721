package org.s2medge.app

import android.app.Application
import android.graphics.Bitmap
import android.net.Uri
import androidx.lifecycle.AndroidViewModel
import androidx.lifecycle.viewModelScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.withContext
import org.s2medge.logic.LabelMap
import org.s2medge.logic.OverlayStyle
import org.s2medge.logic.Picture
import org.s2medge.logic.ProbabilityMap
import org.s2medge.logic.S2MEdgeException
import org.s2medge.logic.Segmentation
import org.s2medge.logic.Segmenter
import org.s2medge.logic.SelfTestReport

/** One picture with its mask. */
data class PictureState(
    val working: String? = null,
    val error: S2MEdgeException? = null,
    val picture: Picture? = null,
    val image: Bitmap? = null,
    val segmentation: Segmentation? = null,
    val report: SelfTestReport? = null,
    val mask: LabelMap? = null,
    val overlay: Bitmap? = null,
)

/** Keeps the probabilities, so that threshold and style can be moved without running the network again. */
class PictureModel(application: Application) : AndroidViewModel(application) {
    private val mutable = MutableStateFlow(PictureState())
    val state: StateFlow<PictureState> = mutable.asStateFlow()
    private var resized: ProbabilityMap? = null
    private var drawing: Job? = null

    /** Decode, segment, draw. What fails is shown instead of a mask. */
    fun load(uri: Uri, segmenter: Segmenter?, lock: Mutex, threshold: Double, style: OverlayStyle) {
        drawing?.cancel()
        drawing = viewModelScope.launch {
            mutable.value = PictureState(working = "Reading the picture")
            resized = null
            try {
                if (segmenter == null) {
                    throw S2MEdgeException("the self-test is not green", "See the tab Self-test.")
                }
                val picture = withContext(Dispatchers.IO) { Bitmaps.decode(getApplication<Application>().contentResolver, uri) }
                val image = withContext(Dispatchers.Default) { Bitmaps.of(picture) }
                mutable.value = PictureState(working = "Segmenting", picture = picture, image = image)
                val found = lock.withLock { withContext(Dispatchers.Default) { segmenter.segment(picture) } }
                resized = withContext(Dispatchers.Default) { found.probabilities.resized(found.height, found.width) }
                mutable.update { it.copy(working = null, segmentation = found, report = segmenter.report) }
                draw(threshold, style)
            } catch (error: S2MEdgeException) {
                mutable.value = PictureState(error = error)
            } catch (_: OutOfMemoryError) {
                val error = S2MEdgeException("the picture does not fit in this device's memory", "Choose a smaller one.")
                mutable.value = PictureState(error = error)
            } catch (error: RuntimeException) {
                if (error is kotlin.coroutines.cancellation.CancellationException) throw error
                mutable.value = PictureState(error = S2MEdgeException("${error.message}", "Try another picture."))
            }
        }
    }

    /** After a slider moved: the latest position wins. */
    fun refresh(threshold: Double, style: OverlayStyle) {
        if (resized == null) return
        drawing?.cancel()
        drawing = viewModelScope.launch {
            delay(SETTLE_MILLISECONDS)
            draw(threshold, style)
        }
    }

    fun clear() {
        drawing?.cancel()
        resized = null
        mutable.value = PictureState()
    }

    fun fail(error: S2MEdgeException) = mutable.update { it.copy(error = error) }

    private suspend fun draw(threshold: Double, style: OverlayStyle) {
        val probabilities = resized ?: return
        val classes = mutable.value.segmentation?.contract?.classes ?: return
        val (mask, overlay) = withContext(Dispatchers.Default) {
            val mask = probabilities.decided(threshold)
            mask to Bitmaps.ofOverlay(mask, classes, style)
        }
        mutable.update { it.copy(mask = mask, overlay = overlay) }
    }

    private companion object {
        const val SETTLE_MILLISECONDS = 40L
    }
}
