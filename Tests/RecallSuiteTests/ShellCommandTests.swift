import Foundation
import RecallSuite
import Testing

@Suite struct ShellCommandTests {
    @Test func plainWordsStayAndOthersAreQuoted() {
        for text in ["run", "a/b.yaml", "model=based,d_model=64", "4KiB,16KiB", "-1", "50%", "a:b@c+d"] {
            #expect(ShellCommand.quoted(text) == text)
        }
        for (text, quoted) in [
            ("", "''"), ("two words", "'two words'"), ("it's", #"'it'\''s'"#), ("$HOME", "'$HOME'"),
            ("~/r.sqlite", "'~/r.sqlite'"), ("*.yaml", "'*.yaml'"), (#"a\b"#, #"'a\b'"#), ("é", "'é'"),
            ("two\nlines", #"$'two\012lines'"#), ("it's\t\\", #"$'it\'s\011\\'"#),
            ("\u{85}\u{2028}", #"$'\302\205\342\200\250'"#), ("a\u{202E}b", #"$'a\342\200\256b'"#),
        ] {
            #expect(ShellCommand.quoted(text) == quoted)
            let lines = quoted.split(whereSeparator: \.isNewline)
            #expect(lines.count == 1)
        }
    }

    /// What a shell makes of the words is what was meant.
    @Test func aShellReadsEveryWordBack() throws {
        var words = [
            "", "-x", "it's", "\"", "$(ls)", "`ls`", "a\\", "!", "#", "~", "a b", "*", "🧠", "e\u{301}",
        ]
        words += ["\n", "a\nb\n", "\t", "\u{1B}[1m", "\u{85}", "\u{2028}", "\u{2029}", "'\n\\n", "\\'\r"]
        words += ["\u{202E}gpj.yaml", "\u{200F}", "\u{FEFF}x", "نمی\u{200C}خواهم", "👩\u{200D}🔬", "\u{200D}"]
        words += (1..<0x7F).map { String(UnicodeScalar(UInt8($0))) }
        let text = ShellCommand(words: words).description
        #expect(text.hasPrefix("recall-bench "))
        let lines = text.split(whereSeparator: \.isNewline)
        #expect(lines.count == 1)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["-c", "printf '%s\\0' " + text.dropFirst("recall-bench ".count)]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let read = data.split(separator: 0, omittingEmptySubsequences: false).dropLast().map {
            String(decoding: $0, as: UTF8.self)
        }
        #expect(read.map { Array($0.utf8) } == words.map { Array($0.utf8) })
    }

    @Test func aWordOfASentenceHasQuotesInAnyCase() {
        #expect(ShellCommand.inQuotes("tiny") == "'tiny'")
        #expect(ShellCommand.inQuotes("it's") == #"'it'\''s'"#)
        #expect(ShellCommand.inQuotes("a\nb") == #"$'a\012b'"#)
    }

    @Test func optionsAreLeftOutWithoutAValueAndHyphensAreKept() {
        let command = ShellCommand("run").option("--suite", "-odd.yaml").option("--seed", nil)
            .options("--only", ["a=1", "b=2"]).adding(["--device", "cuda"])
        #expect(
            command.description == "recall-bench run --suite=-odd.yaml --only a=1 --only b=2 --device cuda"
        )
        #expect(
            ShellCommand("status").on(database: ShellCommand.defaultDatabase).description
                == "recall-bench status"
        )
        #expect(
            ShellCommand("status").on(database: "my r.sqlite").description
                == "recall-bench status --db 'my r.sqlite'"
        )
    }
}
