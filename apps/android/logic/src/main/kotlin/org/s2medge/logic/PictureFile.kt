package org.s2medge.logic

/**
 * Files that this app does not open, because it would show the network other values than the toolkit does.
 *
 * @property word the reason in `apps/vectors/pictures/index.json`.
 */
enum class Unopened(val word: String, val reason: String) {
    DICOM("dicom", "this is a DICOM file, which this app does not open"),
    NIFTI("nifti", "this is a NIfTI volume, which this app does not open"),
    TIFF("tiff", "this is a TIFF, which this app does not open"),
    DEEP("deep", "this picture has 16 bits a value, of which this device keeps eight"),
    TRANSPARENT("transparent", "this picture has transparent parts, whose colours this device changes"),
}

/** The beginning of a file that [requireOpenable] looks at, in bytes. */
const val FILE_HEAD = 512

private const val DICOM_AT = 128
private const val NIFTI_AT = 344
private const val PNG_DEPTH_AT = 24
private const val DEEP_BITS = 16
private val PNG = "\u0089PNG\r\n\u001a\n"
private val TIFFS = listOf("II*\u0000", "MM\u0000*", "II+\u0000", "MM\u0000+")
private val NIFTI = Regex("n[i+][12]\u0000")

/** What a file is, by its first [FILE_HEAD] bytes, if this app does not open it. */
fun unopened(head: ByteArray): Unopened? {
    val text = String(head, Charsets.ISO_8859_1)
    fun at(place: Int, length: Int) = text.substring(minOf(place, text.length), minOf(place + length, text.length))
    return when {
        at(DICOM_AT, 4) == "DICM" -> Unopened.DICOM
        NIFTI.matches(at(NIFTI_AT, 4)) || NIFTI.matches(at(4, 4)) -> Unopened.NIFTI
        at(0, 4) in TIFFS -> Unopened.TIFF
        text.startsWith(PNG) && head.size > PNG_DEPTH_AT && head[PNG_DEPTH_AT].toInt() == DEEP_BITS -> Unopened.DEEP
        else -> null
    }
}

/** @throws S2MEdgeException for a file that is [unopened]. */
fun requireOpenable(head: ByteArray) = refuse(unopened(head))

/**
 * @param pixels 0xAARRGGBB
 * @throws S2MEdgeException for a picture of which any is not opaque.
 */
fun requireOpaque(pixels: IntArray) {
    if (pixels.any { it ushr 24 != 255 }) refuse(Unopened.TRANSPARENT)
}

private fun refuse(kind: Unopened?) {
    if (kind != null) throw S2MEdgeException(kind.reason, "Use s2m-edge predict or the desktop app, or save it as an 8-bit PNG.")
}
