package org.s2medge.logic

import com.google.gson.JsonParser
import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

/** The encoded pictures of `apps/vectors/pictures`: what this app does not open is told by its first bytes. */
class PictureFileTest {
    private val root = File(Vectors.folder, "pictures")

    @Test
    fun `files that the device would change are told by their beginning`() {
        val cases = JsonParser.parseString(File(root, "index.json").readText()).asJsonObject.getAsJsonArray("cases")
        assertTrue(cases.size() >= 50)
        val wrong = cases.map { it.asJsonObject }.mapNotNull { case ->
            val wanted = case.getAsJsonObject("refused").get("android")?.asString
            val found = unopened(File(root, case.get("file").asString).readBytes().copyOf(FILE_HEAD))?.word
            // Transparent pixels are seen once the picture is decoded.
            if (found == wanted.takeUnless { it == Unopened.TRANSPARENT.word }) null else "$case: $found"
        }
        assertEquals(emptyList<String>(), wrong)
    }

    @Test
    fun `files of medicine are named`() {
        fun at(place: Int, word: String) = ByteArray(place) + word.toByteArray()
        assertEquals(Unopened.DICOM, unopened(at(128, "DICM")))
        assertEquals(Unopened.NIFTI, unopened(at(344, "n+1\u0000")))
        assertEquals(Unopened.NIFTI, unopened(at(344, "ni1\u0000")))
        assertEquals(Unopened.NIFTI, unopened(at(4, "n+2\u0000")))
        assertNull(unopened(ByteArray(0)))
        assertTrue(reasonOf { requireOpenable(at(128, "DICM")) }.contains("DICOM"))
    }

    @Test
    fun `one transparent pixel is enough`() {
        val opaque = IntArray(4) { 0xFF102030.toInt() }
        requireOpaque(opaque)
        assertTrue(reasonOf { requireOpaque(opaque.also { it[2] = 0x7F102030 }) }.contains("transparent"))
    }
}
