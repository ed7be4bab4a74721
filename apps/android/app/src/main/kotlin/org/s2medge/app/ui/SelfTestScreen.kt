package org.s2medge.app.ui

import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.rememberScrollState
import androidx.compose.foundation.selection.selectable
import androidx.compose.foundation.verticalScroll
import androidx.compose.material3.Card
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.OutlinedButton
import androidx.compose.material3.RadioButton
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.ui.Alignment
import androidx.compose.ui.Modifier
import androidx.compose.ui.semantics.Role
import androidx.compose.ui.unit.dp
import org.s2medge.app.AppModel
import org.s2medge.app.AppState
import org.s2medge.app.DeviceRuntime

/** The golden inputs on this device, per number of threads: green or red, and how long they take. */
@Composable
fun SelfTestScreen(model: AppModel, app: AppState) {
    val bundle = app.bundle ?: return
    Column(
        Modifier.verticalScroll(rememberScrollState()).padding(16.dp),
        verticalArrangement = Arrangement.spacedBy(12.dp),
    ) {
        Text(
            "The inputs that were recorded with the model run here, and have to give what the reference gave. " +
                "A red badge shows no masks. Choosing runs the test.",
        )
        for (threads in DeviceRuntime.THREADS) {
            val chosen = threads == app.threads
            Card(Modifier.selectable(chosen, role = Role.RadioButton) { model.select(bundle, threads) }) {
                Row(Modifier.padding(12.dp), verticalAlignment = Alignment.CenterVertically) {
                    RadioButton(selected = chosen, onClick = null)
                    Column(Modifier.padding(start = 12.dp)) {
                        val title = DeviceRuntime.threadsTitle(threads)
                        val report = app.reports[threads]
                        if (report == null) {
                            Text("$title: not tested yet")
                        } else {
                            Badge(report.passed, title)
                            Text(report.verdict, style = MaterialTheme.typography.bodySmall)
                            report.medianMilliseconds?.let {
                                Text("${milliseconds(it)} an image", style = MaterialTheme.typography.bodySmall)
                            }
                        }
                    }
                }
            }
        }
        Text("Limits, ${bundle.contract.precision}", style = MaterialTheme.typography.titleSmall)
        bundle.gate.probabilityError?.let { LabelledValue("Probability error at most", it.toString()) }
        bundle.gate.meanProbabilityError?.let { LabelledValue("Mean probability error at most", it.toString()) }
        LabelledValue("Mask agreement at least", bundle.gate.maskAgreement.toString())
        bundle.gate.maskDice?.let { LabelledValue("Dice between masks at least", it.toString()) }
        LabelledValue("Reference", bundle.goldenDevice)
        OutlinedButton(onClick = { model.select(bundle, app.threads) }) { Text("Run again") }
    }
}
