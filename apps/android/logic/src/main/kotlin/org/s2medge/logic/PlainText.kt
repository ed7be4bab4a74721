package org.s2medge.logic

/** Characters that move the cursor or turn the direction of writing: no name of ours holds one. */
internal fun isControl(code: Int): Boolean =
    code < 0x20 || code in 0x7f..0x9f || code == 0x200e || code == 0x200f || code in 0x2028..0x202e || code in 0x2066..0x2069

/** A stranger's text in a line of ours: shortened, and without what would move or turn the writing around it. */
fun plain(text: String, longest: Int = 200): String {
    val shown = StringBuilder()
    var place = 0
    while (place < text.length && shown.length < longest) {
        val code = text.codePointAt(place)
        place += Character.charCount(code)
        shown.appendCodePoint(if (isControl(code) || code in 0xd800..0xdfff) 0xfffd else code)
    }
    return if (place < text.length) "$shown\u2026" else shown.toString()
}
