import Dispatch
import Foundation
import RecallTensor

/// Turns the first SIGINT or SIGTERM into a request to stop; a second one ends the process at once.
final class Interrupts {
    let stop = StopRequest()
    private var sources: [any DispatchSourceSignal] = []

    init() {
        for number in [SIGINT, SIGTERM] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global(qos: .userInteractive))
            source.setEventHandler { [stop] in
                // What is in the database is true at every moment, so leaving at once loses only unfinished epochs.
                if stop.isRaised { _exit(130) }
                stop.raise()
            }
            source.resume()
            sources.append(source)
        }
    }

    deinit {
        for source in sources { source.cancel() }
    }
}
