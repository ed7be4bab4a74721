package org.s2medge.app.ui

import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.rememberScrollState
import androidx.compose.foundation.selection.selectable
import androidx.compose.foundation.text.selection.SelectionContainer
import androidx.compose.foundation.verticalScroll
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.RadioButton
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.ui.Alignment
import androidx.compose.ui.Modifier
import androidx.compose.ui.semantics.Role
import androidx.compose.ui.text.font.FontFamily
import androidx.compose.ui.text.font.FontWeight
import androidx.compose.ui.unit.dp
import org.s2medge.app.AppModel
import org.s2medge.app.AppState
import org.s2medge.app.Sharing
import org.s2medge.logic.Contract

/** What the app runs, and where it came from. */
@Composable
fun ModelScreen(model: AppModel, app: AppState) {
    val contract = app.bundle?.contract ?: return
    Column(
        Modifier.verticalScroll(rememberScrollState()).padding(16.dp),
        verticalArrangement = Arrangement.spacedBy(8.dp),
    ) {
        if (app.choices.size > 1) {
            Heading("Models in this app")
            for ((name, bundle) in app.choices) {
                val chosen = bundle === app.bundle
                Row(
                    Modifier.fillMaxWidth().selectable(chosen, role = Role.RadioButton) { model.select(bundle, app.threads) },
                    verticalAlignment = Alignment.CenterVertically,
                ) {
                    RadioButton(selected = chosen, onClick = null)
                    Text(name, Modifier.padding(12.dp))
                }
            }
        }
        Heading("Model")
        LabelledValue("Name", contract.modelName)
        LabelledValue("Architecture", contract.network.architecture)
        LabelledValue("Target", contract.target)
        LabelledValue("Precision", contract.precision)
        contract.spectralFilter?.let { LabelledValue("Spectral filter", it) }
        LabelledValue("Picture", "${contract.preprocessing.height} x ${contract.preprocessing.width}, ${contract.input.colour}")
        LabelledValue("Taken as", if (contract.preprocessing.window == null) "the whole picture, stretched" else "windows of it")
        LabelledValue("Classes", contract.classes.joinToString { it.name })
        LabelledValue("Exported by", "s2m-edge ${contract.toolkitVersion}")
        LabelledValue("Device", Sharing.device)
        Heading("SHA-256, checked when the app started")
        Hash("checkpoint", contract.checkpointSha256)
        Hash("weights", contract.network.weightsSha256)
        for ((name, value) in contract.files) Hash(name, value)
        Heading("Intended use")
        Text(contract.intendedUse)
        Text(Contract.NOTICE, fontWeight = FontWeight.SemiBold)
    }
}

@Composable
private fun Heading(text: String) = Text(text, style = MaterialTheme.typography.titleSmall)

@Composable
private fun Hash(name: String, value: String) {
    Column {
        Text(name, style = MaterialTheme.typography.bodySmall)
        SelectionContainer { Text(value, style = MaterialTheme.typography.bodySmall, fontFamily = FontFamily.Monospace) }
    }
}
