package org.s2medge.app

import android.app.Application
import android.graphics.Bitmap
import android.os.SystemClock
import android.util.Size
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import androidx.camera.core.resolutionselector.ResolutionSelector
import androidx.camera.core.resolutionselector.ResolutionStrategy
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.core.content.ContextCompat
import androidx.lifecycle.AndroidViewModel
import androidx.lifecycle.LifecycleOwner
import java.util.concurrent.Executors
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.sync.withLock
import org.s2medge.logic.RateMeter
import org.s2medge.logic.S2MEdgeException

/** The camera's last frame, its mask, and how fast they come. @property maskedFraction 0..1. */
data class LiveState(
    val error: S2MEdgeException? = null,
    val image: Bitmap? = null,
    val overlay: Bitmap? = null,
    val framesPerSecond: Double? = null,
    val networkMilliseconds: Double = 0.0,
    val maskedFraction: Double = 0.0,
)

/** One frame at a time: the camera drops what comes while one is being worked on. */
class LiveModel(application: Application) : AndroidViewModel(application) {
    private val mutable = MutableStateFlow(LiveState())
    val state: StateFlow<LiveState> = mutable.asStateFlow()
    private val worker = Executors.newSingleThreadExecutor()
    private var meter = RateMeter()
    private var provider: ProcessCameraProvider? = null

    /** Bind the back camera to the screen's life. */
    fun start(owner: LifecycleOwner, model: AppModel) {
        mutable.value = LiveState()
        if (model.state.value.segmenter?.slides != false) return // the screen says why
        val future = ProcessCameraProvider.getInstance(getApplication())
        future.addListener({
            try {
                val cameras = future.get()
                provider = cameras
                val selector = ResolutionSelector.Builder().setResolutionStrategy(
                    ResolutionStrategy(Size(1280, 720), ResolutionStrategy.FALLBACK_RULE_CLOSEST_LOWER_THEN_HIGHER),
                ).build()
                val analysis = ImageAnalysis.Builder()
                    .setResolutionSelector(selector)
                    .setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST)
                    .setOutputImageFormat(ImageAnalysis.OUTPUT_IMAGE_FORMAT_RGBA_8888)
                    .setOutputImageRotationEnabled(true)
                    .build()
                meter = RateMeter()
                analysis.setAnalyzer(worker) { frame -> frame.use { show(it, model) } }
                cameras.unbindAll()
                cameras.bindToLifecycle(owner, CameraSelector.DEFAULT_BACK_CAMERA, analysis)
            } catch (error: Exception) {
                fail("this device has no camera that can be used (${error.message})", "Choose a picture instead.")
            }
        }, ContextCompat.getMainExecutor(getApplication()))
    }

    fun stop() {
        provider?.unbindAll()
        mutable.value = LiveState()
    }

    fun refuse() = fail("this app may not use the camera", "Allow it in the system's settings, under Apps, S2M-Edge.")

    private fun show(frame: ImageProxy, model: AppModel) {
        val app = model.state.value
        val segmenter = app.segmenter?.takeUnless { it.slides } ?: return
        try {
            val picture = Bitmaps.fromFrame(frame)
            val found = runBlocking {
                model.runtimeLock.withLock {
                    // While this frame waited, another model may have taken the runtime's place.
                    val current = model.state.value.segmenter === segmenter
                    // A guard is about single pictures, and would only flicker here.
                    if (current) segmenter.segment(picture, "the camera's picture", judged = false) else null
                }
            } ?: return
            val mask = found.mask(app.threshold)
            val overlay = Bitmaps.ofOverlay(mask, segmenter.contract.classes, app.style)
            meter.tick(SystemClock.elapsedRealtimeNanos() / 1e9)
            val background = mask.areas(1)[0]
            mutable.value = LiveState(
                image = Bitmaps.of(picture),
                overlay = overlay,
                framesPerSecond = meter.framesPerSecond,
                networkMilliseconds = found.network,
                maskedFraction = 1.0 - background.toDouble() / mask.labels.size,
            )
        } catch (error: Exception) {
            fail(error.message ?: "the frame cannot be segmented", "Start the app again.")
        }
    }

    private fun fail(reason: String, remedy: String) = mutable.update { it.copy(error = S2MEdgeException(reason, remedy)) }

    override fun onCleared() {
        provider?.unbindAll()
        worker.shutdown()
    }
}
