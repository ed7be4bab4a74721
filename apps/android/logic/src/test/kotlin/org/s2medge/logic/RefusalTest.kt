package org.s2medge.logic

import com.google.gson.JsonObject
import com.google.gson.JsonParser
import java.io.File
import java.nio.file.Files
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

/** The damaged bundles of `apps/vectors/refusals`: each is refused for the reason that every reader gives. */
class RefusalTest {
    @get:Rule
    val temporary = TemporaryFolder()
    private val root = File(Vectors.folder, "refusals")
    private val cases = JsonParser.parseString(File(root, "index.json").readText()).asJsonObject
        .getAsJsonArray("cases").map { it.asJsonObject }

    private fun JsonObject.word(name: String) = get(name).takeUnless { it.isJsonNull }?.asString

    @Test
    fun `every bundle is refused for its reason`() {
        assertTrue(cases.size >= 60)
        assertEquals("one that this reader cannot see", emptySet<String?>(),
            cases.map { it.word("needs") }.toSet() - setOf(null, "listing", "links"))
        val link = File(root, "link/parity.json").toPath()
        assertTrue("a checkout without symbolic links: core.symlinks", Files.isSymbolicLink(link))
        val wrong = cases.mapNotNull { case ->
            val name = case.word("name")!!
            val refused = runCatching { ModelBundle.open(File(root, name)) }.exceptionOrNull()
            val found = (refused as? S2MEdgeException)?.refusal?.word ?: refused?.toString()
            if (found == case.word("reason")) null else "$name: $found, not ${case.word("reason")}"
        }
        assertEquals(emptyList<String>(), wrong)
    }

    @Test
    fun `what is said of it is one line with a remedy`() {
        for (case in cases.filter { it.word("reason") != null }) {
            val error = runCatching { ModelBundle.open(File(root, case.word("name")!!)) }.exceptionOrNull() as S2MEdgeException
            assertTrue(error.message!!, error.message!!.codePoints().noneMatch(::isControl))
            assertTrue(error.message!!, error.remedy.isNotEmpty() && error.message!!.length < 400)
        }
    }

    @Test
    fun `every reason has a case, and every case a reason of ours`() {
        assertEquals(Refusal.entries.map { it.word }.toSet(), cases.mapNotNull { it.word("reason") }.toSet())
    }

    @Test
    fun `what this app runs is another question than what it reads`() {
        val sound = ModelBundle.open(File(root, "sound"))
        assertEquals("onnx", sound.contract.target)
        val found = listOf("sound" to Result.success(sound))
        assertTrue("no model for executorch" in reasonOf { ModelBundle.choose(found, listOf("executorch")) })
        assertEquals(sound, ModelBundle.choose(found, listOf("onnx")))
        assertEquals(Window(0.5, 0.125), ModelBundle.open(File(root, "window")).contract.preprocessing.window)
        assertNull(sound.contract.preprocessing.window)
    }

    @Test
    fun `a bundle that did not pass is found, and chosen by nobody`() {
        File(root, "gate-failed").copyRecursively(File(temporary.root, "a"))
        val found = ModelBundle.find(temporary.root)
        assertFalse(found.single().second.isSuccess)
        assertTrue("did not pass its parity gate" in reasonOf { ModelBundle.choose(found, listOf("onnx")) })
    }

    @Test
    fun `fields that no schema has are refused wherever they stand`() {
        val sound = File(root, "window/contract.json").readBytes()
        val places: List<(JsonObject) -> JsonObject> = listOf(
            { it.getAsJsonObject("artifact") }, { it.getAsJsonObject("parity") }, { it.getAsJsonObject("network") },
            { it.getAsJsonObject("input") }, { it.getAsJsonObject("preprocessing") },
            { it.getAsJsonObject("preprocessing").getAsJsonObject("window") }, { it.getAsJsonObject("output") },
            { it.getAsJsonObject("postprocessing") }, { it.getAsJsonArray("classes")[0].asJsonObject },
            { it.getAsJsonObject("checkpoint") },
        )
        Contract.read(sound)
        for (place in places) {
            val changed = edited(String(sound)) { place(it).addProperty("plugin", "x") }
            assertEquals(Refusal.DAMAGED, refusalOf { Contract.read(changed.toByteArray()) })
        }
    }

    @Test
    fun `a limit that this app does not know is not passed over`() {
        val sound = File(root, "sound/contract.json").readText()
        fun with(value: Double?) = edited(sound) {
            it.getAsJsonObject("parity").getAsJsonObject("gate").addProperty("surface_distance", value)
        }.toByteArray()
        assertTrue("does not know" in reasonOf { Contract.read(with(0.5)) })
        assertEquals("onnx", Contract.read(with(null)).target)
    }
}
