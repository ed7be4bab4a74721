package org.s2medge.app.ui

import android.content.ActivityNotFoundException
import android.content.Intent
import android.net.Uri
import androidx.activity.compose.rememberLauncherForActivityResult
import androidx.activity.result.PickVisualMediaRequest
import androidx.activity.result.contract.ActivityResultContracts.OpenDocument
import androidx.activity.result.contract.ActivityResultContracts.PickVisualMedia
import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.rememberScrollState
import androidx.compose.foundation.verticalScroll
import androidx.compose.material3.Button
import androidx.compose.material3.LinearProgressIndicator
import androidx.compose.material3.OutlinedButton
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.runtime.LaunchedEffect
import androidx.compose.runtime.getValue
import androidx.compose.ui.Modifier
import androidx.compose.ui.platform.LocalContext
import androidx.compose.ui.unit.dp
import androidx.lifecycle.compose.collectAsStateWithLifecycle
import java.util.Locale
import org.s2medge.app.AppModel
import org.s2medge.app.AppState
import org.s2medge.app.PictureModel
import org.s2medge.app.PictureState
import org.s2medge.app.Sharing
import org.s2medge.logic.S2MEdgeException

/** A photo or a file, its mask, and what it measures. */
@Composable
fun PictureScreen(model: AppModel, app: AppState, picture: PictureModel) {
    val state by picture.state.collectAsStateWithLifecycle()
    fun load(uri: Uri?) {
        if (uri != null) picture.load(uri, model)
    }
    val photos = rememberLauncherForActivityResult(PickVisualMedia()) { load(it) }
    val files = rememberLauncherForActivityResult(OpenDocument()) { load(it) }
    LaunchedEffect(app.threshold, app.style) { picture.refresh(app.threshold, app.style) }
    // A mask of another model, or of another runtime, is not shown beside this one's name.
    LaunchedEffect(app.segmenter) { if (state.report !== app.segmenter?.report) picture.clear() }

    Column(
        Modifier.verticalScroll(rememberScrollState()).padding(16.dp),
        verticalArrangement = Arrangement.spacedBy(16.dp),
    ) {
        Row(horizontalArrangement = Arrangement.spacedBy(8.dp)) {
            val ready = app.segmenter != null
            Button(enabled = ready, onClick = { photos.launch(PickVisualMediaRequest(PickVisualMedia.ImageOnly)) }) {
                Text("Photo")
            }
            OutlinedButton(enabled = ready, onClick = { files.launch(arrayOf("image/*")) }) { Text("File") }
        }
        if (app.segmenter == null) {
            Badge(passed = false, title = app.report?.verdict ?: "not run")
        }
        state.working?.let {
            Text(it)
            val progress = state.progress
            if (progress == null) LinearProgressIndicator() else LinearProgressIndicator(progress = { progress })
            OutlinedButton(onClick = picture::cancel) { Text("Cancel") }
        }
        state.error?.let { ErrorMessage(it) }
        Result(model, app, picture, state)
        if (state == PictureState()) Text("Choose a photo or a file. It stays on this device.")
    }
}

@Composable
private fun Result(model: AppModel, app: AppState, picture: PictureModel, state: PictureState) {
    val image = state.image ?: return
    val mask = state.mask
    val result = state.segmentation
    val summary = if (mask == null || result == null) {
        "Picture without a mask"
    } else {
        val areas = mask.areas(result.contract.classes.size + 1)
        "Picture with mask: " + result.contract.classes.withIndex().joinToString { (index, entry) ->
            "${entry.name} ${percent(areas[index + 1], mask.labels.size)}"
        }
    }
    PictureWithMask(image, state.overlay, summary)
    if (mask == null || result == null) return
    MaskControls(app.threshold, app.style, result.contract.channelsOut == 1, model::setThreshold, model::setStyle)
    if (result.fixedThreshold != null && result.contract.channelsOut == 1 && state.threshold != app.threshold) {
        Text("This mask is of the threshold %.2f. Another one takes another run.".format(Locale.getDefault(), state.threshold))
        OutlinedButton(onClick = { picture.again(model) }) { Text("Segment again") }
    }
    Figures(mask, result)
    val context = LocalContext.current
    OutlinedButton(
        onClick = {
            try {
                val files = Sharing.intent(context, state, app.style)
                context.startActivity(Intent.createChooser(files, "Share mask, picture and JSON"))
            } catch (error: S2MEdgeException) {
                picture.fail(error)
            } catch (_: ActivityNotFoundException) {
                picture.fail(S2MEdgeException("no app here takes these files", "Install one that does."))
            }
        },
    ) { Text("Share mask, picture and JSON") }
}
