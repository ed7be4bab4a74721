package org.s2medge.logic

import com.google.gson.JsonObject
import java.io.File
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * A safetensors file: 8 bytes little-endian length, a JSON header of that length, then the arrays' bytes.
 *
 * https://github.com/huggingface/safetensors#format
 *
 * @param refusal why a bundle with a damaged one is refused.
 */
class Safetensors(
    private val data: ByteArray,
    private val name: String,
    private val refusal: Refusal = Refusal.GOLDEN_DAMAGED,
) {
    /** @property begin of its bytes in the file. */
    class Entry(val dtype: String, val shape: List<Int>, internal val begin: Int, internal val length: Int)

    val metadata: Map<String, String>
    val entries: Map<String, Entry>

    init {
        if (data.size < 8) throw damaged("${data.size} bytes are less than a header")
        val length = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN).getLong(0)
        if (length < 0 || length > data.size - 8) throw damaged("its header would be $length bytes long")
        val begin = 8 + length.toInt()
        if (length > LONGEST_HEADER) throw damaged("its header would be $length bytes long")
        val header = runCatching {
            StrictJson.parse(data.copyOfRange(8, begin), name) as JsonObject
        }.getOrNull() ?: throw damaged("its header is not JSON")
        metadata = runCatching {
            header.get("__metadata__")?.let { Fields(header, "").texts("__metadata__") } ?: emptyMap()
        }.getOrNull() ?: throw damaged("its metadata")
        entries = header.keySet().filter { it != "__metadata__" }.associateWith { key ->
            runCatching { entry(header.getAsJsonObject(key), begin) }.getOrNull() ?: throw damaged("the entry ${plain(key)}")
        }
        var next = begin
        for (entry in entries.values.sortedWith(compareBy({ it.begin }, { it.length }))) {
            if (entry.begin != next) throw damaged("its arrays overlap, or leave a gap")
            next += entry.length
        }
        if (next != data.size) throw damaged("something follows its arrays")
    }

    /** @throws S2MEdgeException no such array, or not of this type. */
    fun uint8(name: String): Pair<List<Int>, ByteArray> {
        val entry = entry(name, "U8")
        return entry.shape to data.copyOfRange(entry.begin, entry.begin + entry.length)
    }

    /** @throws S2MEdgeException no such array, or not of this type. */
    fun float32(name: String): Pair<List<Int>, FloatArray> {
        val entry = entry(name, "F32")
        val values = FloatArray(entry.length / 4)
        ByteBuffer.wrap(data, entry.begin, entry.length).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(values)
        return entry.shape to values
    }

    /** The bytes of an array as stored. @throws S2MEdgeException no such array. */
    fun bytes(name: String): ByteArray {
        val entry = entry(name, null)
        return data.copyOfRange(entry.begin, entry.begin + entry.length)
    }

    private fun entry(name: String, dtype: String?): Entry {
        val entry = entries[name]
        if (entry == null || (dtype != null && entry.dtype != dtype)) {
            val found = entry?.dtype ?: "nothing"
            throw S2MEdgeException("$name should hold ${dtype ?: "an array"} and holds $found", EXPORT_AGAIN, refusal)
        }
        return entry
    }

    /** Null where the array is not where the header says. */
    private fun entry(fields: JsonObject, begin: Int): Entry? {
        val dtype = fields.get("dtype").asString
        val shape = fields.getAsJsonArray("shape").map { it.asBigDecimal.intValueExact() }
        val offsets = fields.getAsJsonArray("data_offsets").map { it.asBigDecimal.longValueExact() }
        var expected = BYTES_PER_VALUE.getValue(dtype).toLong()
        for (side in shape) {
            if (side < 0) return null
            expected = Math.multiplyExact(expected, side.toLong())
        }
        val (first, last) = offsets
        val sound = offsets.size == 2 && first >= 0 && last >= first && last <= data.size - begin &&
            last - first == expected
        return if (sound) Entry(dtype, shape, begin + first.toInt(), expected.toInt()) else null
    }

    private fun damaged(reason: String) = S2MEdgeException("$name is damaged ($reason)", EXPORT_AGAIN, refusal)

    companion object {
        private const val LONGEST_HEADER = 100_000_000
        private val BYTES_PER_VALUE = mapOf(
            "BOOL" to 1, "U8" to 1, "I8" to 1, "F16" to 2, "BF16" to 2, "U16" to 2, "I16" to 2, "F32" to 4, "U32" to 4,
            "I32" to 4, "F64" to 8, "U64" to 8, "I64" to 8,
        )

        /** @throws S2MEdgeException missing or damaged. */
        fun read(file: File, refusal: Refusal = Refusal.GOLDEN_DAMAGED): Safetensors {
            val data = try {
                file.readBytes()
            } catch (_: IOException) {
                throw S2MEdgeException("there is no readable ${file.name}", "Put the whole bundle in place.", refusal)
            }
            return Safetensors(data, file.name, refusal)
        }
    }
}
