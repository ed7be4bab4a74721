package org.s2medge.app

import android.content.ClipData
import android.content.Context
import android.content.Intent
import android.graphics.Bitmap
import android.os.Build
import androidx.core.content.FileProvider
import java.io.File
import java.io.IOException
import java.time.Instant
import java.util.UUID
import org.s2medge.logic.Contract
import org.s2medge.logic.OverlayStyle
import org.s2medge.logic.S2MEdgeException
import org.s2medge.logic.SegmentationRecord
import org.s2medge.logic.paintedOn

/** Files to share: the mask, the painted picture with the notice in it, and a JSON that says where they came from. */
object Sharing {
    private const val AUTHORITY = "org.s2medge.app.shared"

    val device: String get() = "${Build.MANUFACTURER} ${Build.MODEL}, Android ${Build.VERSION.RELEASE}"

    /** @throws S2MEdgeException where the files cannot be made. */
    fun intent(context: Context, state: PictureState, style: OverlayStyle): Intent {
        val nothing = S2MEdgeException("there is no mask to share", "Choose a picture first.")
        val result = state.segmentation ?: throw nothing
        val mask = state.mask ?: throw nothing
        val picture = state.picture ?: throw nothing
        val report = state.report ?: throw nothing
        val contract = result.contract
        val root = File(context.cacheDir, "shared").apply { deleteRecursively() }
        val folder = File(root, UUID.randomUUID().toString())
        try {
            if (!folder.mkdirs()) throw IOException("no folder")
            val painted = Bitmaps.of(mask.paintedOn(picture, contract.classes, style))
            val caption = "${contract.modelName}, ${result.runtime}, ${contract.precision}\n${Contract.NOTICE}"
            val files = listOf(
                png(File(folder, "mask.png"), Bitmaps.ofMask(mask, contract.classes.size)),
                png(File(folder, "overlay.png"), Bitmaps.captioned(painted, caption)),
                File(folder, "result.json").apply {
                    val now = Instant.now().toString()
                    writeText(SegmentationRecord.json(result, mask, state.threshold, report, device, now))
                },
            )
            val uris = ArrayList(files.map { FileProvider.getUriForFile(context, AUTHORITY, it) })
            return Intent(Intent.ACTION_SEND_MULTIPLE).apply {
                type = "*/*"
                putParcelableArrayListExtra(Intent.EXTRA_STREAM, uris)
                clipData = ClipData.newRawUri(null, uris[0]).apply { uris.drop(1).forEach { addItem(ClipData.Item(it)) } }
                addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
            }
        } catch (_: IOException) {
            throw S2MEdgeException("the files cannot be made", "Free some storage and try again.")
        }
    }

    private fun png(file: File, bitmap: Bitmap): File {
        file.outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
        return file
    }
}
