package org.s2medge.logic

import java.io.File
import java.nio.file.Files
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

/** A bundle is opened only when every file of its artifact is the one that was exported. */
class BundleTest {
    @get:Rule
    val temporary = TemporaryFolder()

    private fun refusal(damage: (BundleCopy) -> Unit): String {
        val copy = BundleCopy(temporary)
        damage(copy)
        return reasonOf { ModelBundle.open(copy.folder) }.also { copy.folder.deleteRecursively() }
    }

    @Test
    fun `the example is opened`() {
        val bundle = ModelBundle.open(BundleCopy(temporary).folder)
        assertEquals(listOf("golden-0", "golden-1"), bundle.golden.map { it.name })
        assertEquals("example, no network ran", bundle.goldenDevice)
        assertEquals("example.package", bundle.artifact.name)
        assertNotNull(bundle.gate.probabilityError)
    }

    @Test
    fun `a changed artifact is refused`() {
        val reason = refusal { copy -> copy.change("example.package/weights/weight.bin") { it.apply { this[17] = 0 } } }
        assertTrue(reason, "its SHA-256 differs" in reason)
    }

    @Test
    fun `a missing file of the artifact is refused`() {
        assertEquals(
            "the bundle lacks example.package/manifest.json",
            refusal { File(it.folder, "example.package/manifest.json").delete() },
        )
    }

    @Test
    fun `a file that the contract does not name is refused, inside the artifact and beside it`() {
        for (path in listOf("example.package/weights/other.bin", "notes.txt")) {
            assertEquals(
                "the bundle holds $path, which its contract does not name",
                refusal { File(it.folder, path).writeBytes(byteArrayOf(1)) },
            )
        }
    }

    @Test
    fun `links are refused, to files and to folders`() {
        for (path in listOf("example.package/weights", "parity.json", "contract.json")) {
            val reason = refusal {
                val moved = File(temporary.root, "moved").also(File::deleteRecursively)
                File(it.folder, path).renameTo(moved)
                Files.createSymbolicLink(File(it.folder, path).toPath(), moved.toPath())
            }
            assertEquals("$path of the bundle is a link", reason)
        }
    }

    @Test
    fun `golden inputs have to belong to the contract`() {
        val other = refusal { copy -> copy.changeHashed("golden.safetensors") { Vectors.file.readBytes() } }
        assertTrue(other, "no recorded inputs" in other)
        val size = refusal { copy ->
            copy.changeContract {
                it.getAsJsonObject("preprocessing").apply { addProperty("height", 128); addProperty("width", 128) }
                it.getAsJsonObject("output").getAsJsonArray("shape").apply {
                    set(2, com.google.gson.JsonPrimitive(128))
                    set(3, com.google.gson.JsonPrimitive(128))
                }
            }
        }
        assertTrue(size, "arrays of another size" in size)
    }

    @Test
    fun `the first bundle of the target is chosen`() {
        val copy = BundleCopy(temporary)
        assertEquals("the app holds no model", reasonOf { ModelBundle.choose(emptyList(), listOf("coreml")) })
        val found = ModelBundle.find(temporary.root)
        assertEquals(listOf("bundle"), found.map { it.first })
        assertEquals("coreml", ModelBundle.choose(found, listOf("executorch", "coreml")).contract.target)
        assertTrue("no model for executorch or litert" in reasonOf { ModelBundle.choose(found, listOf("executorch", "litert")) })
        copy.change("example.package/weights/weight.bin") { it.apply { this[0] = 9 } }
        assertTrue("SHA-256" in reasonOf { ModelBundle.choose(ModelBundle.find(temporary.root), listOf("coreml")) })
    }

    /** A bundle that `s2m-edge export` wrote, where S2M_EDGE_BUNDLE names one. */
    @Test
    fun `an exported bundle is opened and its recorded masks follow from its logits`() {
        val path = System.getenv("S2M_EDGE_BUNDLE")
        assumeTrue("S2M_EDGE_BUNDLE names no bundle", path != null)
        val bundle = ModelBundle.open(File(path))
        assertTrue(bundle.golden.isNotEmpty())
        for (golden in bundle.golden) {
            assertArrayEquals(golden.name, golden.mask.labels, golden.probabilities.decided(bundle.contract.threshold).labels)
        }
    }
}
