import Testing

@testable import RecallPage

@Suite struct PageTextTests {
    @Test func whatMeansSomethingToAParserIsEscaped() {
        let text = PageText()
        #expect(
            text.escapeText("<a href='x'>\"&\"</a>, 🧠")
                == "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&quot;&lt;/a&gt;, 🧠")
        // One character each, in Swift's eyes; a quote and a mark, in a parser's.
        for (mark, escaped) in [("\"", "&quot;"), ("'", "&#39;"), ("<", "&lt;"), ("&", "&amp;"), (">", "&gt;")]
        {
            #expect(Array(text.escapeText(mark + "\u{301}").utf8) == Array((escaped + "\u{301}").utf8))
        }
        #expect(
            text.escapeText("a\u{0}b\u{1B}c\u{FFFE}\td\ne\r\n") == "a\u{FFFD}b\u{FFFD}c\u{FFFD}\td\ne&#13;\n")
    }
}
