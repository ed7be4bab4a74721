package org.s2medge.logic

import com.google.gson.JsonArray
import com.google.gson.JsonElement
import com.google.gson.JsonNull
import com.google.gson.JsonObject
import com.google.gson.JsonPrimitive
import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException

/**
 * JSON as RFC 8259 has it, and no more, into Gson's tree. Gson's own readers take NaN, comments, names without quotes and
 * the last of several equal keys, so that two readers could see two different contracts in one file.
 */
internal class StrictJson private constructor(private val text: String, private val name: String) {
    private var at = 0
    private var infinite = false

    private class Malformed(reason: String) : Exception(reason)

    private fun document(): JsonElement {
        val root = value(0)
        space()
        if (at != text.length) throw Malformed("something follows it")
        return root
    }

    private fun value(depth: Int): JsonElement {
        if (depth > DEEPEST) throw Malformed("nested too deep")
        space()
        return when (peek()) {
            '{' -> members(depth)
            '[' -> items(depth)
            '"' -> JsonPrimitive(string())
            't' -> word("true", JsonPrimitive(true))
            'f' -> word("false", JsonPrimitive(false))
            'n' -> word("null", JsonNull.INSTANCE)
            else -> number()
        }
    }

    private fun members(depth: Int): JsonObject {
        val found = JsonObject()
        at++
        space()
        if (taken('}')) return found
        while (true) {
            space()
            if (peek() != '"') throw Malformed("a key is missing")
            val key = string()
            if (found.has(key)) {
                throw S2MEdgeException("$name has the key ${plain(key)} twice", EXPORT_AGAIN, Refusal.DUPLICATE_KEY)
            }
            space()
            if (!taken(':')) throw Malformed("a colon is missing")
            found.add(key, value(depth + 1))
            space()
            if (taken('}')) return found
            if (!taken(',')) throw Malformed("an object has no end")
        }
    }

    private fun items(depth: Int): JsonArray {
        val found = JsonArray()
        at++
        space()
        if (taken(']')) return found
        while (true) {
            found.add(value(depth + 1))
            space()
            if (taken(']')) return found
            if (!taken(',')) throw Malformed("a list has no end")
        }
    }

    private fun string(): String {
        val found = StringBuilder()
        at++
        while (true) {
            val next = peek()
            at++
            when {
                next == '"' -> break
                next == null || next < ' ' -> throw Malformed("a text has no end")
                next == '\\' -> found.append(escape())
                else -> found.append(next)
            }
        }
        // A half of a pair is no character, and no two languages agree on what to make of one.
        val alone = found.indices.any {
            val (low, high) = Character.isLowSurrogate(found[it]) to Character.isHighSurrogate(found[it])
            (high && !(it + 1 < found.length && Character.isLowSurrogate(found[it + 1]))) ||
                (low && !(it > 0 && Character.isHighSurrogate(found[it - 1])))
        }
        if (alone) throw Malformed("a character is cut in half")
        return found.toString()
    }

    private fun escape(): Char {
        val next = peek()
        at++
        return when (next) {
            '"', '\\', '/' -> next
            'b' -> '\b'
            'f' -> '\u000c'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> {
                if (at + 4 > text.length) throw Malformed("a text has no end")
                val digits = text.substring(at, at + 4)
                if (digits.any { it !in '0'..'9' && it !in 'a'..'f' && it !in 'A'..'F' }) throw Malformed("an escape")
                at += 4
                digits.toInt(16).toChar()
            }
            else -> throw Malformed("an escape")
        }
    }

    private fun number(): JsonPrimitive {
        val begin = at
        taken('-')
        if (!taken('0')) digits()
        val whole = at
        if (taken('.')) digits()
        if (peek() == 'e' || peek() == 'E') {
            at++
            if (!taken('+')) taken('-')
            digits()
        }
        val token = text.substring(begin, at)
        if (whole == at) token.toLongOrNull()?.let { return JsonPrimitive(it) }
        val value = token.toDouble()
        if (!value.isFinite()) infinite = true
        return JsonPrimitive(value)
    }

    private fun digits() {
        val begin = at
        while (peek().let { it != null && it in '0'..'9' }) at++
        if (at == begin) throw Malformed("an unknown word")
    }

    private fun word(expected: String, value: JsonElement): JsonElement {
        if (!text.startsWith(expected, at)) throw Malformed("an unknown word")
        at += expected.length
        return value
    }

    private fun space() {
        while (peek().let { it == ' ' || it == '\t' || it == '\n' || it == '\r' }) at++
    }

    private fun peek(): Char? = text.getOrNull(at)

    private fun taken(expected: Char): Boolean = (peek() == expected).also { if (it) at++ }

    companion object {
        private const val DEEPEST = 32

        /**
         * The tree of a UTF-8 text.
         *
         * @param name of the file, for messages.
         * @throws S2MEdgeException not UTF-8, not JSON, a key twice, nested too deep, or a number that is not finite.
         */
        fun parse(content: ByteArray, name: String): JsonElement {
            val text = try {
                Charsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(content)).toString() // which reports what is malformed
            } catch (_: CharacterCodingException) {
                throw S2MEdgeException("$name is not readable JSON (not UTF-8)", EXPORT_AGAIN, Refusal.NOT_JSON)
            }
            val reader = StrictJson(text, name)
            val root = try {
                reader.document()
            } catch (error: Malformed) {
                throw S2MEdgeException("$name is not readable JSON (${error.message})", EXPORT_AGAIN, Refusal.NOT_JSON)
            }
            if (reader.infinite) {
                throw S2MEdgeException("$name is damaged: it holds a number that is not finite", EXPORT_AGAIN, Refusal.DAMAGED)
            }
            return root
        }
    }
}
