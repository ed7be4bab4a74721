package org.s2medge.logic

import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** JSON as the standard has it, and nothing that only some readers take. */
class StrictJsonTest {
    private fun parse(text: String) = StrictJson.parse(text.toByteArray(), "x")

    @Test
    fun `values of every kind are read`() {
        val text = """ {"a": [1, -2, 0.5, 1e3, -0, true, false, null], "b\u0041\n\/": "\ud83d\ude00 ü", "": {}, "c": []} """
        val found = parse(text).asJsonObject
        assertEquals("[1,-2,0.5,1000.0,0,true,false,null]", found.get("a").toString())
        assertEquals("\ud83d\ude00 ü", found.get("bA\n/").asString)
        assertEquals(0, found.getAsJsonArray("c").size() + found.getAsJsonObject("").size())
        assertEquals(Long.MAX_VALUE, parse("9223372036854775807").asLong)
        assertEquals(1e20, parse("100000000000000000000").asDouble, 0.0)
    }

    @Test
    fun `what is no JSON is refused`() {
        val wrong = listOf(
            "", " ", "{", "[", "\"", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,}", "[1,]", "[,1]", "[1 2]", "{a:1}", "{'a':1}",
            "{\"a\" 1}", "NaN", "Infinity", "-Infinity", "-", "+1", "01", "1.", ".5", "1e", "1e+", "0x1", "True", "nul", "nullx",
            "// x\n1", "/* x */ 1", "# x\n1", "1 2", "[1]]", "\"\n\"", "\"\u0000\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"",
            "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800a\"", "\ufeff1", "[1;2]", "{\"a\"=1}", "\u00a01",
        )
        for (text in wrong) assertEquals(text, Refusal.NOT_JSON, refusalOf { parse(text) })
        for (bytes in listOf(byteArrayOf(0x22, -1, 0x22), byteArrayOf(0x22, -64, -128, 0x22), byteArrayOf(0x22, -19, -96, -128, 0x22))) {
            assertEquals(Refusal.NOT_JSON, refusalOf { StrictJson.parse(bytes, "x") })
        }
    }

    @Test
    fun `a key twice is refused, however it is written, and the same key in two objects is not`() {
        assertEquals(Refusal.DUPLICATE_KEY, refusalOf { parse("""{"a":1,"b":2,"a":1}""") })
        assertEquals(Refusal.DUPLICATE_KEY, refusalOf { parse("""[{"a":1,"\u0061":1}]""") })
        parse("""{"a":{"a":1},"b":{"a":1}}""")
    }

    @Test
    fun `32 levels are taken and 33 are not, and a million do not exhaust the stack`() {
        parse("[".repeat(32) + "1" + "]".repeat(32))
        for (depth in listOf(33, 1000, 1_000_000)) {
            assertEquals(Refusal.NOT_JSON, refusalOf { parse("[".repeat(depth) + "1" + "]".repeat(depth)) })
        }
    }

    @Test
    fun `numbers that are not finite are damage, and very small ones are zero`() {
        assertEquals(Refusal.DAMAGED, refusalOf { parse("[1e999]") })
        assertEquals(Refusal.DAMAGED, refusalOf { parse("-1e999") })
        assertEquals(Refusal.DAMAGED, refusalOf { parse("9".repeat(100_000)) })
        assertEquals(0.0, parse("1e-999").asDouble, 0.0)
    }

    @Test
    fun `text for a line loses what moves or turns it, and its end`() {
        assertEquals("a\ufffd[2Jb\ufffdc", plain("a\u001b[2Jb\u202ec"))
        assertEquals("ä \ud83d\ude00", plain("ä \ud83d\ude00"))
        assertTrue(plain("x".repeat(1000)).length == 201)
    }
}
