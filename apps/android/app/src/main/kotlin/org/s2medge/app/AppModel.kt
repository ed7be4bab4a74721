package org.s2medge.app

import android.app.Application
import androidx.lifecycle.AndroidViewModel
import androidx.lifecycle.viewModelScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.withContext
import org.s2medge.logic.ModelBundle
import org.s2medge.logic.OverlayStyle
import org.s2medge.logic.S2MEdgeException
import org.s2medge.logic.Segmenter
import org.s2medge.logic.SelfTest
import org.s2medge.logic.SelfTestReport

/** What the screens show of the model. @property segmenter null unless the self-test is green. */
data class AppState(
    val step: String? = "Looking for models",
    val failure: S2MEdgeException? = null,
    val choices: List<Pair<String, ModelBundle>> = emptyList(),
    val bundle: ModelBundle? = null,
    val threads: Int = 0,
    val reports: Map<Int, SelfTestReport> = emptyMap(),
    val segmenter: Segmenter? = null,
    val threshold: Double = 0.5,
    val style: OverlayStyle = OverlayStyle(),
) {
    val report: SelfTestReport? get() = reports[threads]
}

/** The loaded model, its self-test, and what the person chose. */
class AppModel(application: Application) : AndroidViewModel(application) {
    private val mutable = MutableStateFlow(AppState())
    val state: StateFlow<AppState> = mutable.asStateFlow()

    /** Held while a runtime is loaded, run or closed: there is one thread pool, and a program runs one input at a time. */
    val runtimeLock = Mutex()
    private var runtime: DeviceRuntime? = null

    init {
        viewModelScope.launch { start() }
    }

    private suspend fun start() {
        try {
            val found = withContext(Dispatchers.IO) { ModelBundle.find(BundleFiles.unpack(getApplication())) }
            val first = ModelBundle.choose(found, DeviceRuntime.TARGETS)
            val choices = found.mapNotNull { (name, result) ->
                result.getOrNull()?.takeIf { it.contract.target in DeviceRuntime.TARGETS }?.let { name to it }
            }
            mutable.update { it.copy(choices = choices) }
            load(first, threads = 0)
        } catch (error: S2MEdgeException) {
            mutable.update { it.copy(step = null, failure = error) }
        } catch (error: Exception) {
            val failure = S2MEdgeException("the models cannot be stored (${error.message})", "Free some storage.")
            mutable.update { it.copy(step = null, failure = failure) }
        }
    }

    /** Switch to another model, or to another number of threads; the self-test comes first. */
    fun select(bundle: ModelBundle, threads: Int) {
        viewModelScope.launch { load(bundle, threads) }
    }

    fun setThreshold(value: Double) = mutable.update { it.copy(threshold = value) }

    fun setStyle(value: OverlayStyle) = mutable.update { it.copy(style = value) }

    private suspend fun load(bundle: ModelBundle, threads: Int) {
        val sameModel = mutable.value.bundle === bundle
        mutable.update {
            it.copy(
                step = "Self-test, ${DeviceRuntime.threadsTitle(threads)}",
                bundle = bundle,
                threads = threads,
                segmenter = null,
                reports = if (sameModel) it.reports - threads else emptyMap(),
                threshold = if (sameModel) it.threshold else bundle.contract.threshold,
            )
        }
        val (report, segmenter) = runtimeLock.withLock { withContext(Dispatchers.Default) { test(bundle, threads) } }
        mutable.update { it.copy(step = null, reports = it.reports + (threads to report), segmenter = segmenter) }
    }

    private fun test(bundle: ModelBundle, threads: Int): Pair<SelfTestReport, Segmenter?> {
        runtime?.close()
        runtime = null
        return try {
            val loaded = DeviceRuntime.open(bundle, threads)
            runtime = loaded
            // The first prediction prepares the program, and would be no measure of time.
            loaded.probabilities(bundle.golden.first().image)
            val report = SelfTest.run(bundle, loaded)
            report to if (report.passed) Segmenter(bundle, loaded, report) else null
        } catch (error: Exception) {
            red(bundle, error) to null
        } catch (error: LinkageError) { // no native library for this device
            red(bundle, error) to null
        }
    }

    private fun red(bundle: ModelBundle, error: Throwable) =
        SelfTestReport(bundle.contract.target, emptyList(), error.message ?: error.javaClass.simpleName)

    override fun onCleared() {
        if (runtimeLock.tryLock()) runtime?.close()
    }
}
