/// Whether a character moves the cursor or turns the direction of writing: no name of ours holds one.
func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7f...0x9f, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069: return true
    default: return false
    }
}

/// A stranger's text in a line of ours: shortened, and without what would move or turn the writing around it.
public func plain(_ text: String, longest: Int = 200) -> String {
    var shown = String.UnicodeScalarView()
    for scalar in text.unicodeScalars.prefix(longest) { shown.append(isControl(scalar) ? "\u{fffd}" : scalar) }
    if text.unicodeScalars.dropFirst(longest).first != nil { shown.append("\u{2026}") }
    return String(shown)
}
