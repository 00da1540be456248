/// The text on one line, as a terminal can be given it whatever is in it: what would begin a line, move the cursor, change
/// colors, turn the direction of writing or hide itself is escaped, `\n` and `\u{202E}`. Letters of any script stay.
///
/// Whoever makes a message may leave this to the place that writes it; a second time changes nothing.
public func oneLine(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    guard scalars.contains(where: isUnprintable) else { return text }
    var result = String.UnicodeScalarView()
    for (index, scalar) in scalars.enumerated() {
        if isUnprintable(scalar), !joins(index, in: scalars) {
            result.append(contentsOf: scalar.escaped(asASCII: true).unicodeScalars)
        } else {
            result.append(scalar)
        }
    }
    return String(result)
}

/// Whether a scalar is nothing to see by itself but changes what is seen: a control character, a line end, a mark of the
/// writing direction or another of Unicode's invisible format characters.
func isUnprintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator: true
    // Some format characters are seen, such as the Arabic sign of numbers.
    case .format: scalar.properties.isDefaultIgnorableCodePoint || (0xFFF9...0xFFFB).contains(scalar.value)
    default: false
    }
}

/// Whether the scalar is a joiner or non-joiner between two others that are not ASCII: there it is spelling, of Persian and
/// Hindi words and of emoji.
private func joins(_ index: Int, in scalars: [Unicode.Scalar]) -> Bool {
    guard scalars[index] == "\u{200C}" || scalars[index] == "\u{200D}", index > 0, index + 1 < scalars.count
    else { return false }
    return [scalars[index - 1], scalars[index + 1]].allSatisfy { !$0.isASCII && !isUnprintable($0) }
}
