import ArgumentParser
import Foundation
import RecallPage
import RecallReport
import RecallStore
import RecallSuite

struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Write a suite's results as one page of HTML.",
        discussion: """
            One file that loads nothing and has no script: the warnings first, then what was run and on what, the tradeoff, \
            learning rates, slices, learning curves, the state itemised, throughput, and the command that gives each number \
            again. It prints well. gnuplot draws the figures; without it the page is made all the same. The same results \
            give the same bytes.

            EXAMPLES
              recall-bench report --suite quick --output quick.html
              recall-bench report --db other.sqlite --output other.html     the only suite that there is
              recall-bench report --suite quick --output - | gzip > quick.html.gz
            """
    )

    @OptionGroup var source: SuiteSource

    @Option(
        help: ArgumentHelp(
            "The file to write; - is standard output. Default: standard output, where that is no terminal.",
            valueName: "file.html"
        )
    )
    var output: String?

    func run() throws {
        guard output != nil || isatty(STDOUT_FILENO) == 0 else {
            throw Failure(
                .usage,
                "a page is no text for a terminal: name a file with --output FILE.html, or pipe it"
            )
        }
        let (suite, store) = try source.found(to: "report")
        let began = ContinuousClock.now
        let known = try? SuiteLibrary().load(PageSource.lookupName(of: suite))
        let page = try ReportPage(
            try PageSource(suite, in: store, known: known),
            origins: try RowOriginNotes(suite: suite.name, in: store).notes.map(PageWarning.init),
            program: ProgramVersion.text,
            gnuplot: Gnuplot()
        ) { next in
            if ContinuousClock.now - began > .seconds(2) { Output.note("\(next) …") }
        }
        page.figureFaults.forEach(Output.note)
        let text = PageRenderer().render(page)
        if let output, output != "-" {
            try OutputFile.write(to: output, bytes: Data(text.utf8))
        } else {
            Output.write(text)
        }
    }
}

extension PageWarning {
    /// What there is to say of rows, as sentences.
    fileprivate init(_ note: (what: String, consequence: String)) {
        let advice = note.consequence.replacingOccurrences(of: "`", with: "")
        self.init(note.what + ".", advice: advice.prefix(1).uppercased() + advice.dropFirst() + ".")
    }
}
