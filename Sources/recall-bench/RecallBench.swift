import ArgumentParser
import Foundation
import RecallKernels

@main
struct RecallBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recall-bench",
        abstract: "How much recall does a sequence mixer buy for each byte of recurrent state?",
        discussion: """
            Generates multi-query associative recall (MQAR), trains sequence mixers on it under one protocol, sweeps \
            the size of their recurrent state, and keeps every number in one SQLite file.

            EXAMPLES
              recall-bench run --suite quick              six mixers, some minutes
              recall-bench sweep state-size               accuracy against bytes of state
              recall-bench export csv --table tradeoff    the table for a plot
              recall-bench plot tradeoff --output t.svg   the plot itself
              recall-bench report --output quick.html     all of it on one page
              recall-bench models based                   what there is to turn
              recall-bench eval --checkpoint FILE         accuracy of one model

            EXIT STATUS
              0 done; 1 some runs or verifications failed; 2 the control is invalid, with --require-control; 64 wrong usage; 65 a suite or input file is wrong; 66 a file is missing; \
            69 a needed device, library or port is not there, what is asked for does not fit in memory, or the system refuses threads or file descriptors; 70 an internal error; 74 input or output error; \
            130 interrupted, and can be continued
            """,
        version: ProgramVersion.text,
        subcommands: [
            RunCommand.self, SweepCommand.self, ExportCommand.self, PlotCommand.self, StatusCommand.self,
            ServeCommand.self,
            SuitesCommand.self, ModelsCommand.self, TasksCommand.self, DataCommand.self, EvalCommand.self,
            VerifyCommand.self,
            ReportCommand.self,
            BenchCommand.self, DoctorCommand.self,
        ]
    )

    /// Parses, runs, and ends with the exit status that belongs to what happened.
    static func main() {
        // A reader that goes away is an error of one write, not the end of training.
        signal(SIGPIPE, SIG_IGN)
        // So is a file that has reached the size the user may write.
        signal(SIGXFSZ, SIG_IGN)
        // Ctrl-\ ends the process as it ends any: Swift's own handler would print what every thread was doing.
        signal(SIGQUIT, SIG_DFL)
        Interrupts.unblock()
        do {
            try EnvironmentVariables.check()
            var command = try parseAsRoot()
            if !SystemLimits.worksWithoutThreads(command) { try SystemLimits.requireUsual() }
            // `doctor` is there to tell it.
            if !(command is DoctorCommand) { try requireBuiltForThisProcessor() }
            try command.run()
        } catch {
            Failure.exit(with: error)
        }
        ProcessEnd.end(0)
    }

    /// The kernels would end in an illegal instruction on a processor that lacks what they were compiled for.
    private static func requireBuiltForThisProcessor() throws {
        let missing = CPUInformation.missingFeatures
        guard missing.isEmpty else {
            throw Failure(
                .unavailable,
                "this binary was built for a processor with \(missing.joined(separator: ", ")), which this one lacks; "
                    + "build it here, or anywhere with RECALL_BENCH_MARCH=x86-64-v3"
            )
        }
    }
}
