import RecallSuite
import Testing

/// Text of users on the one line of a message.
@Suite struct OneLineTests {
    @Test(arguments: [
        ("plain text, 100 % of it", "plain text, 100 % of it"), ("", ""), (#"a\b"#, #"a\b"#),
        ("two\nlines\r\n", #"two\nlines\r\n"#), ("tab\t", #"tab\t"#),
        ("\u{1B}[31mred\u{1B}[0m", #"\u{1B}[31mred\u{1B}[0m"#), ("\u{9B}31m", #"\u{009B}31m"#),
        ("\u{7}\u{0}\u{7F}", #"\u{07}\0\u{7F}"#), ("\u{85}\u{2028}\u{2029}", #"\u{0085}\u{2028}\u{2029}"#),
        ("lmay.\u{202E}txt", #"lmay.\u{202E}txt"#), ("\u{200E}\u{200F}\u{61C}", #"\u{200E}\u{200F}\u{061C}"#),
        ("\u{2066}a\u{2069}", #"\u{2066}a\u{2069}"#),
        ("\u{FEFF}a\u{200B}\u{AD}", #"\u{FEFF}a\u{200B}\u{00AD}"#),
        ("\u{FFF9}a\u{FFFB}", #"\u{FFF9}a\u{FFFB}"#), ("\u{E0041}", #"\u{000E0041}"#),
        // Letters of any script, marks that combine, emoji.
        ("größe", "größe"), ("e\u{301}", "e\u{301}"), ("модель", "модель"), ("模型", "模型"), ("نموذج", "نموذج"),
        ("מודל", "מודל"), ("\u{600}١", "\u{600}١"), ("🧠❤️", "🧠❤️"),
        // Joiners are spelling between letters, and hidden elsewhere.
        ("نمی\u{200C}خواهم", "نمی\u{200C}خواهم"), ("क्\u{200D}ष", "क्\u{200D}ष"), ("👩\u{200D}🔬", "👩\u{200D}🔬"),
        ("a\u{200D}b", #"a\u{200D}b"#), ("\u{200C}", #"\u{200C}"#), ("é\u{200D}", #"é\u{200D}"#),
        ("é\u{200D}\u{200D}é", #"é\u{200D}\u{200D}é"#),
    ]) func whatATerminalIsGiven(_ text: String, _ line: String) {
        #expect(oneLine(text).unicodeScalars.elementsEqual(line.unicodeScalars), "\(oneLine(text))")
    }

    /// Whatever a text is, its line has no control character, line end or mark of direction; a line stays as it is.
    @Test func anyTextIsALine() {
        let interesting: [ClosedRange<UInt32>] = [
            0...0x9F, 0x600...0x61C, 0x200B...0x206F, 0xFFF0...0xFFFD, 0xE0000...0xE007F, 0x1F300...0x1F64F,
        ]
        var words = RandomWords(seed: 20)
        for _ in 0..<20_000 {
            var text = String.UnicodeScalarView()
            for _ in 0..<words.next() % 12 {
                let range = interesting[Int(words.next()) % interesting.count]
                let value = range.lowerBound + words.next() % UInt32(range.count)
                text.append(Unicode.Scalar(value) ?? "?")
            }
            let line = oneLine(String(text))
            #expect(oneLine(line).unicodeScalars.elementsEqual(line.unicodeScalars), "\(Array(text))")
            let isClean = line.unicodeScalars.allSatisfy { scalar in
                ![.control, .lineSeparator, .paragraphSeparator].contains(scalar.properties.generalCategory)
                    && !scalar.isBidirectionalMark
            }
            #expect(isClean, "\(Array(text))")
        }
    }

    /// 32 random bits at a time.
    private struct RandomWords {
        private var state: UInt64
        init(seed: UInt64) { state = seed }
        mutating func next() -> UInt32 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt32(truncatingIfNeeded: state >> 33)
        }
    }
}

extension Unicode.Scalar {
    /// Unicode's property Bidi_Control, by its list.
    fileprivate var isBidirectionalMark: Bool {
        value == 0x61C || (0x200E...0x200F).contains(value) || (0x202A...0x202E).contains(value)
            || (0x2066...0x2069).contains(value)
    }
}
