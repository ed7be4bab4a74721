package org.s2medge.logic

import com.google.gson.JsonArray
import com.google.gson.JsonElement
import com.google.gson.JsonNull
import com.google.gson.JsonObject

/** A JSON object whose fields are read with their types, or refused with their place. */
internal class Fields(private val json: JsonObject, private val place: String) {
    val names: Set<String> get() = json.keySet()

    /** Refuse every field but these. */
    fun only(vararg names: String): Fields {
        this.names.firstOrNull { it !in names }?.let { throw damaged(it) }
        return this
    }

    fun text(name: String): String = read(name) { if (it.asJsonPrimitive.isString) it.asString else null }

    /** A text of the whole of which the pattern is true. */
    fun text(name: String, pattern: Regex): String = text(name).also { if (!pattern.matches(it)) throw damaged(name) }

    /** A text of at most so many characters, none of which fails. */
    fun text(name: String, longest: Int, allowed: (Int) -> Boolean): String = text(name).also {
        if (it.codePointCount(0, it.length) > longest || !it.codePoints().allMatch(allowed)) throw damaged(name)
    }

    fun choice(name: String, words: Collection<String>): String = text(name).also { if (it !in words) throw damaged(name) }

    fun flag(name: String): Boolean = read(name) { if (it.asJsonPrimitive.isBoolean) it.asBoolean else null }

    fun number(name: String): Double = read(name, ::numberOf)

    fun number(name: String, range: ClosedFloatingPointRange<Double>): Double =
        number(name).also { if (it !in range) throw damaged(name) }

    fun optionalNumber(name: String): Double? =
        if (json.get(name)?.isJsonNull != false) null else number(name)

    fun whole(name: String): Int = read(name, ::wholeOf)

    fun whole(name: String, range: IntRange): Int = whole(name).also { if (it !in range) throw damaged(name) }

    /** A whole number that is not negative, of any size. */
    fun count(name: String): Double = number(name, 0.0..Double.MAX_VALUE).also { if (it != Math.rint(it)) throw damaged(name) }

    fun wholes(name: String): List<Int> = read(name) { list -> (list as JsonArray).map { wholeOf(it)!! } }

    fun numbers(name: String): List<Double> = read(name) { list -> (list as JsonArray).map { numberOf(it)!! } }

    fun inner(name: String): Fields = Fields(read(name) { it as JsonObject }, "$place$name/")

    /** Null where null stands there. */
    fun optionalInner(name: String): Fields? = if (json.get(name) is JsonNull) null else inner(name)

    fun inners(name: String): List<Fields> =
        read(name) { list -> (list as JsonArray).mapIndexed { index, it -> Fields(it as JsonObject, "$place$name/$index/") } }

    fun nothing(name: String) {
        read(name) { it as? JsonNull }
    }

    /** An object whose values are all texts, in its order. */
    fun texts(name: String): Map<String, String> {
        val inner = inner(name)
        return inner.names.associateWith(inner::text)
    }

    private fun numberOf(value: JsonElement): Double? =
        if (value.asJsonPrimitive.isNumber) value.asDouble.takeIf(Double::isFinite) else null

    private fun wholeOf(value: JsonElement): Int? {
        val number = numberOf(value) ?: return null
        return if (number == Math.rint(number) && Math.abs(number) <= Int.MAX_VALUE) number.toInt() else null
    }

    private fun <T : Any> read(name: String, convert: (JsonElement) -> T?): T {
        val value = json.get(name) ?: throw damaged(name)
        // Gson and the casts above throw three kinds of exceptions for a value of another type.
        return runCatching { convert(value) }.getOrNull() ?: throw damaged(name)
    }

    fun damaged(name: String) =
        S2MEdgeException("${Contract.FILE} is damaged at $place${plain(name)}", EXPORT_AGAIN, Refusal.DAMAGED)
}
