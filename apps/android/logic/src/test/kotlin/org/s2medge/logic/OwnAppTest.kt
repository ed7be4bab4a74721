package org.s2medge.logic

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

// docs/own-app.md shows these lines.
fun areas(folder: File, picture: Picture, load: (ModelBundle) -> SegmentationRuntime): Map<String, Int> {
    val bundle = ModelBundle.open(folder)
    val runtime = load(bundle)
    val segmenter = Segmenter(bundle, runtime, SelfTest.run(bundle, runtime))
    val result = segmenter.segment(picture, "picture")
    val mask = result.mask(bundle.contract.threshold)
    val pixels = mask.areas(bundle.contract.classes.size + 1).drop(1)
    return bundle.contract.classes.map { it.name }.zip(pixels).toMap()
}
// Up to here.

class OwnAppTest {
    @get:Rule
    val temporary = TemporaryFolder()

    private class Recorded(private val bundle: ModelBundle) : SegmentationRuntime {
        override val title = "recorded"

        override fun probabilities(fitted: FittedPicture): ProbabilityMap =
            (bundle.golden.firstOrNull { it.image.pixels.contentEquals(fitted.pixels) } ?: bundle.golden[0]).probabilities
    }

    @Test
    fun `the lines of the page give the pixels of each class`() {
        val copy = BundleCopy(temporary)
        val picture = Picture(40, 30, IntArray(40 * 30) { 0x808080 })
        val bundle = ModelBundle.open(copy.folder)
        val golden = bundle.golden[0].probabilities.resized(30, 40).decided(bundle.contract.threshold)
        val expected = mapOf(bundle.contract.classes[0].name to golden.areas(2)[1])
        assertEquals(expected, areas(copy.folder, picture) { Recorded(it) })
    }
}
