package org.s2medge.app

import android.app.Application
import android.graphics.Bitmap
import android.net.Uri
import androidx.lifecycle.AndroidViewModel
import androidx.lifecycle.viewModelScope
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.delay
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.withContext
import org.s2medge.logic.LabelMap
import org.s2medge.logic.OverlayStyle
import org.s2medge.logic.Picture
import org.s2medge.logic.ProbabilityMap
import org.s2medge.logic.S2MEdgeException
import org.s2medge.logic.Segmentation
import org.s2medge.logic.SelfTestReport

/**
 * One picture with its mask.
 *
 * @property progress share of the windows that are done, 0..1; null where the picture is not slid over.
 * @property report of the self-test that allowed [segmentation].
 * @property threshold what [mask] was decided with, which may be another than the slider's.
 */
data class PictureState(
    val working: String? = null,
    val progress: Float? = null,
    val error: S2MEdgeException? = null,
    val name: String = "",
    val picture: Picture? = null,
    val image: Bitmap? = null,
    val segmentation: Segmentation? = null,
    val report: SelfTestReport? = null,
    val mask: LabelMap? = null,
    val threshold: Double = 0.0,
    val overlay: Bitmap? = null,
)

/**
 * Keeps the probabilities of a stretched picture, so that threshold and style can be moved without running the network
 * again. What a sliding network gave is decided already.
 */
class PictureModel(application: Application) : AndroidViewModel(application) {
    private val mutable = MutableStateFlow(PictureState())
    val state: StateFlow<PictureState> = mutable.asStateFlow()
    private var resized: ProbabilityMap? = null
    private var work: Job? = null

    /** Decode, segment, draw. What fails is shown instead of a mask. */
    fun load(uri: Uri, model: AppModel) = start(model, "Reading the picture") {
        val resolver = getApplication<Application>().contentResolver
        val name = withContext(Dispatchers.IO) { Bitmaps.name(resolver, uri) }
        val picture = withContext(Dispatchers.IO) { Bitmaps.decode(resolver, uri) }
        val image = withContext(Dispatchers.Default) { Bitmaps.of(picture) }
        mutable.update { it.copy(working = "Segmenting", name = name, picture = picture, image = image) }
        segment(model, picture, name)
    }

    /** Run the network over the same picture with the threshold of now. */
    fun again(model: AppModel) {
        val before = mutable.value
        val picture = before.picture ?: return
        start(model, "Segmenting") {
            mutable.update { it.copy(name = before.name, picture = picture, image = before.image) }
            segment(model, picture, before.name)
        }
    }

    private fun start(model: AppModel, step: String, block: suspend CoroutineScope.() -> Unit) {
        work?.cancel()
        work = viewModelScope.launch {
            val report = model.state.value.segmenter?.report
            mutable.value = PictureState(working = step, report = report)
            resized = null
            try {
                block()
            } catch (error: CancellationException) {
                throw error
            } catch (error: S2MEdgeException) {
                mutable.value = PictureState(error = error, report = report)
            } catch (_: OutOfMemoryError) {
                val error = S2MEdgeException("the picture does not fit in this device's memory", "Choose a smaller one.")
                mutable.value = PictureState(error = error, report = report)
            } catch (error: Exception) { // runtimes throw anything
                val shown = S2MEdgeException("${error.message}", "Try another picture.")
                mutable.value = PictureState(error = shown, report = report)
            }
        }
    }

    private suspend fun segment(model: AppModel, picture: Picture, name: String) {
        val app = model.state.value
        val segmenter = app.segmenter ?: throw S2MEdgeException("the self-test is not green", "See the tab Self-test.")
        fun requireCurrent() {
            // Whoever chooses another model waits for this one's runtime, and closes it then.
            if (model.state.value.segmenter !== segmenter) {
                throw S2MEdgeException("another model was chosen", "Choose the picture again.")
            }
        }
        val found = model.runtimeLock.withLock {
            requireCurrent()
            withContext(Dispatchers.Default) {
                val context = currentCoroutineContext()
                segmenter.segment(picture, name, app.threshold) { done, total ->
                    context.ensureActive()
                    requireCurrent()
                    mutable.update { if (it.picture === picture) it.copy(progress = done.toFloat() / total) else it }
                }
            }
        }
        resized = withContext(Dispatchers.Default) { found.resized() }
        mutable.update { it.copy(working = null, progress = null, segmentation = found, report = segmenter.report) }
        draw(model.state.value.threshold, model.state.value.style)
    }

    /** After a slider moved: the latest position wins. */
    fun refresh(threshold: Double, style: OverlayStyle) {
        if (mutable.value.segmentation == null) return
        work?.cancel()
        work = viewModelScope.launch {
            delay(SETTLE_MILLISECONDS)
            draw(threshold, style)
        }
    }

    /** Stop what is running; between two windows, at the latest. The picture stays, without a mask. */
    fun cancel() {
        work?.cancel()
        mutable.update { PictureState(name = it.name, picture = it.picture, image = it.image, report = it.report) }
    }

    fun clear() {
        work?.cancel()
        resized = null
        mutable.value = PictureState()
    }

    fun fail(error: S2MEdgeException) = mutable.update { it.copy(error = error) }

    private suspend fun draw(threshold: Double, style: OverlayStyle) {
        val result = mutable.value.segmentation ?: return
        val used = result.fixedThreshold ?: threshold
        val probabilities = resized
        val (mask, overlay) = withContext(Dispatchers.Default) {
            val mask = probabilities?.decided(used) ?: result.mask(used)
            mask to Bitmaps.ofOverlay(mask, result.contract.classes, style)
        }
        mutable.update {
            if (it.segmentation === result) it.copy(mask = mask, threshold = used, overlay = overlay) else it
        }
    }

    private companion object {
        const val SETTLE_MILLISECONDS = 40L
    }
}
