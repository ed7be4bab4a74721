package org.s2medge.app.ui

import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Box
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Spacer
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.height
import androidx.compose.foundation.layout.navigationBarsPadding
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.layout.statusBarsPadding
import androidx.compose.material3.CircularProgressIndicator
import androidx.compose.material3.ExperimentalMaterial3Api
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.PrimaryTabRow
import androidx.compose.material3.Scaffold
import androidx.compose.material3.Surface
import androidx.compose.material3.Tab
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableIntStateOf
import androidx.compose.runtime.saveable.rememberSaveable
import androidx.compose.runtime.setValue
import androidx.compose.ui.Alignment
import androidx.compose.ui.Modifier
import androidx.compose.ui.graphics.Color
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.contentDescription
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.text.font.FontWeight
import androidx.compose.ui.text.style.TextAlign
import androidx.compose.ui.unit.dp
import androidx.lifecycle.compose.collectAsStateWithLifecycle
import org.s2medge.app.AppModel
import org.s2medge.app.LiveModel
import org.s2medge.app.PictureModel
import org.s2medge.app.R
import org.s2medge.logic.Contract
import org.s2medge.logic.S2MEdgeException

private val TABS = listOf(R.string.tab_picture, R.string.tab_live, R.string.tab_self_test, R.string.tab_model)

/** The tabs, with the notice below each of them at all times. */
@OptIn(ExperimentalMaterial3Api::class)
@Composable
fun RootScreen(model: AppModel, picture: PictureModel, live: LiveModel) {
    val state by model.state.collectAsStateWithLifecycle()
    var tab by rememberSaveable { mutableIntStateOf(0) }
    Scaffold(
        topBar = {
            PrimaryTabRow(selectedTabIndex = tab, modifier = Modifier.statusBarsPadding()) {
                TABS.forEachIndexed { index, title ->
                    Tab(selected = tab == index, onClick = { tab = index }, text = { Text(stringResource(title)) })
                }
            }
        },
        bottomBar = { NoticeBar() },
    ) { space ->
        Box(Modifier.padding(space).fillMaxSize()) {
            val failure = state.failure
            val step = state.step
            when {
                failure != null -> ErrorMessage(failure)
                step != null -> Progress(step)
                tab == 0 -> PictureScreen(model, state, picture)
                tab == 1 -> LiveScreen(model, state, live)
                tab == 2 -> SelfTestScreen(model, state)
                else -> ModelScreen(model, state)
            }
        }
    }
}

/** "Research use only", wherever a person could see a mask. */
@Composable
private fun NoticeBar() {
    Surface(color = MaterialTheme.colorScheme.surfaceVariant) {
        Text(
            Contract.NOTICE,
            style = MaterialTheme.typography.labelLarge,
            fontWeight = FontWeight.SemiBold,
            textAlign = TextAlign.Center,
            modifier = Modifier.fillMaxWidth().navigationBarsPadding().padding(8.dp),
        )
    }
}

@Composable
fun Progress(step: String) {
    Column(
        Modifier.fillMaxSize(),
        verticalArrangement = Arrangement.Center,
        horizontalAlignment = Alignment.CenterHorizontally,
    ) {
        CircularProgressIndicator()
        Spacer(Modifier.height(12.dp))
        Text(step)
    }
}

/** A cause and its remedy. */
@Composable
fun ErrorMessage(error: S2MEdgeException) {
    Column(Modifier.padding(24.dp), verticalArrangement = Arrangement.spacedBy(8.dp)) {
        Text("This did not work", style = MaterialTheme.typography.titleMedium)
        Text("${error.reason}.")
        Text(error.remedy)
    }
}

/** Green or red, in colour, sign and words. */
@Composable
fun Badge(passed: Boolean, title: String) {
    val spoken = if (passed) "Self-test passed: $title" else "Self-test failed: $title, no masks"
    Text(
        (if (passed) "\u2713 " else "\u2717 ") + title,
        color = if (passed) Color(0xFF2E9E5B) else MaterialTheme.colorScheme.error,
        fontWeight = FontWeight.SemiBold,
        modifier = Modifier.semantics { contentDescription = spoken },
    )
}
