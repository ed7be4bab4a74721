package org.s2medge.app.ui

import android.graphics.Bitmap
import androidx.compose.foundation.Image
import androidx.compose.foundation.background
import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Box
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.size
import androidx.compose.foundation.shape.CircleShape
import androidx.compose.foundation.shape.RoundedCornerShape
import androidx.compose.material3.FilterChip
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Slider
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.runtime.remember
import androidx.compose.ui.Alignment
import androidx.compose.ui.Modifier
import androidx.compose.ui.draw.clip
import androidx.compose.ui.graphics.Color
import androidx.compose.ui.graphics.FilterQuality
import androidx.compose.ui.graphics.asImageBitmap
import androidx.compose.ui.layout.ContentScale
import androidx.compose.ui.semantics.LiveRegionMode
import androidx.compose.ui.semantics.clearAndSetSemantics
import androidx.compose.ui.semantics.contentDescription
import androidx.compose.ui.semantics.liveRegion
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.unit.dp
import java.util.Locale
import org.s2medge.logic.LabelMap
import org.s2medge.logic.OverlayStyle
import org.s2medge.logic.Segmentation

/** A picture with its overlay on top, in the same frame. @param summary what a screen reader says of it. */
@Composable
fun PictureWithMask(image: Bitmap, overlay: Bitmap?, summary: String) {
    Box(Modifier.fillMaxWidth().clip(RoundedCornerShape(12.dp)).semantics { contentDescription = summary }) {
        Image(
            remember(image) { image.asImageBitmap() },
            contentDescription = null,
            contentScale = ContentScale.FillWidth,
            modifier = Modifier.fillMaxWidth(),
        )
        if (overlay != null) {
            Image(
                remember(overlay) { overlay.asImageBitmap() },
                contentDescription = null,
                contentScale = ContentScale.FillBounds,
                filterQuality = FilterQuality.None,
                modifier = Modifier.matchParentSize(),
            )
        }
    }
}

/** Threshold, opacity, and outline or filling. */
@Composable
fun MaskControls(
    threshold: Double,
    style: OverlayStyle,
    oneClass: Boolean,
    setThreshold: (Double) -> Unit,
    setStyle: (OverlayStyle) -> Unit,
) {
    Column(verticalArrangement = Arrangement.spacedBy(8.dp)) {
        if (oneClass) LabelledSlider("Threshold", threshold, 0.01f..0.99f, setThreshold)
        if (style.kind != OverlayStyle.Kind.OUTLINE) {
            LabelledSlider("Opacity", style.opacity, 0.05f..1f) { setStyle(style.copy(opacity = it)) }
        }
        Row(horizontalArrangement = Arrangement.spacedBy(8.dp)) {
            for ((kind, title) in KINDS) {
                FilterChip(
                    selected = style.kind == kind,
                    onClick = { setStyle(style.copy(kind = kind)) },
                    label = { Text(title) },
                )
            }
        }
    }
}

private val KINDS = listOf(
    OverlayStyle.Kind.OUTLINE to "Outline",
    OverlayStyle.Kind.FILL to "Filled",
    OverlayStyle.Kind.BOTH to "Both",
)

@Composable
private fun LabelledSlider(title: String, value: Double, range: ClosedFloatingPointRange<Float>, set: (Double) -> Unit) {
    Column {
        LabelledValue(title, "%.2f".format(Locale.getDefault(), value), Modifier.clearAndSetSemantics {})
        Slider(
            value = value.toFloat(),
            onValueChange = { set(it.toDouble()) },
            valueRange = range,
            modifier = Modifier.semantics { contentDescription = title },
        )
    }
}

/** A name on the left, its value on the right. */
@Composable
fun LabelledValue(title: String, value: String, modifier: Modifier = Modifier) {
    Row(modifier.fillMaxWidth(), horizontalArrangement = Arrangement.SpaceBetween) {
        Text(title, style = MaterialTheme.typography.bodyMedium)
        Text(value, style = MaterialTheme.typography.bodyMedium)
    }
}

/** Area of each class, time, model, precision and what ran. */
@Composable
fun Figures(mask: LabelMap, result: Segmentation) {
    val contract = result.contract
    val areas = remember(mask) { mask.areas(contract.classes.size + 1) }
    Column(verticalArrangement = Arrangement.spacedBy(6.dp)) {
        result.verdict?.warning?.let { UnusualPicture(it) }
        contract.classes.forEachIndexed { index, entry ->
            Row(verticalAlignment = Alignment.CenterVertically, horizontalArrangement = Arrangement.spacedBy(8.dp)) {
                val (red, green, blue) = entry.colour
                Box(Modifier.size(12.dp).background(Color(red, green, blue), CircleShape))
                LabelledValue(entry.name, "${areas[index + 1]} px, ${percent(areas[index + 1], mask.labels.size)}")
            }
        }
        LabelledValue("Network", milliseconds(result.network))
        result.windows?.let { LabelledValue("Windows", it.toString()) }
        LabelledValue("Resize", milliseconds(result.preparing))
        LabelledValue("Model", contract.modelName)
        LabelledValue("Precision", contract.precision)
        LabelledValue("Runs on", result.runtime)
    }
}

/** What the bundle's guard says of a picture unlike the training's; the mask is shown all the same. */
@Composable
private fun UnusualPicture(warning: String) {
    Text(
        "\u26A0 This picture $warning.",
        color = MaterialTheme.colorScheme.error,
        style = MaterialTheme.typography.bodyMedium,
        modifier = Modifier.semantics {
            contentDescription = "Warning: this picture $warning."
            liveRegion = LiveRegionMode.Polite
        },
    )
}

fun percent(part: Int, whole: Int): String = percent(part.toDouble() / maxOf(1, whole))

fun percent(fraction: Double): String = "%.2f %%".format(Locale.getDefault(), fraction * 100)

fun milliseconds(value: Double): String =
    (if (value < 10) "%.1f ms" else "%.0f ms").format(Locale.getDefault(), value)
