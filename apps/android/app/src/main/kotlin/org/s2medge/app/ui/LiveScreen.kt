package org.s2medge.app.ui

import android.Manifest
import android.content.pm.PackageManager
import androidx.activity.compose.rememberLauncherForActivityResult
import androidx.activity.result.contract.ActivityResultContracts.RequestPermission
import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.rememberScrollState
import androidx.compose.foundation.verticalScroll
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.runtime.DisposableEffect
import androidx.compose.runtime.getValue
import androidx.compose.ui.Modifier
import androidx.compose.ui.platform.LocalContext
import androidx.compose.ui.unit.dp
import androidx.core.content.ContextCompat
import androidx.lifecycle.compose.LocalLifecycleOwner
import androidx.lifecycle.compose.collectAsStateWithLifecycle
import java.util.Locale
import org.s2medge.app.AppModel
import org.s2medge.app.AppState
import org.s2medge.app.LiveModel

/** The camera with its mask. Frame and mask are drawn together, so that what is outlined is what was segmented. */
@Composable
fun LiveScreen(model: AppModel, app: AppState, live: LiveModel) {
    val state by live.state.collectAsStateWithLifecycle()
    val context = LocalContext.current
    val owner = LocalLifecycleOwner.current
    val asked = rememberLauncherForActivityResult(RequestPermission()) { granted ->
        if (granted) live.start(owner, model) else live.refuse()
    }
    DisposableEffect(app.segmenter) {
        if (app.segmenter?.slides == false) {
            val permission = Manifest.permission.CAMERA
            if (ContextCompat.checkSelfPermission(context, permission) == PackageManager.PERMISSION_GRANTED) {
                live.start(owner, model)
            } else {
                asked.launch(permission)
            }
        }
        onDispose { live.stop() }
    }
    Column(
        Modifier.verticalScroll(rememberScrollState()).padding(16.dp),
        verticalArrangement = Arrangement.spacedBy(16.dp),
    ) {
        val error = state.error
        val image = state.image
        val contract = app.bundle?.contract
        when {
            app.segmenter == null -> Badge(passed = false, title = app.report?.verdict ?: "not run")
            app.segmenter.slides -> Text(
                "This network slides over a picture at its own resolution. That is for single pictures, see the tab Picture: " +
                    "it takes too long for live video.",
            )
            error != null -> ErrorMessage(error)
            image == null || contract == null -> Text("Starting the camera")
            else -> {
                val masked = percent(state.maskedFraction)
                PictureWithMask(image, state.overlay, "Camera picture, $masked masked")
                val rate = state.framesPerSecond?.let { "%.1f".format(Locale.getDefault(), it) } ?: "\u2013"
                LabelledValue("Frames per second", rate)
                LabelledValue("Network", milliseconds(state.networkMilliseconds))
                val oneClass = contract.channelsOut == 1
                MaskControls(app.threshold, app.style, oneClass, model::setThreshold, model::setStyle)
                Text("${contract.modelName}, ${contract.precision}", style = MaterialTheme.typography.bodySmall)
            }
        }
    }
}
