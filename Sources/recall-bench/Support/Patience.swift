import Dispatch
import Foundation
import Synchronization

/// Says on standard error what the program is busy with where that takes longer than two seconds, so that nobody waits
/// without a word: soon, then whenever there is news, and at the least every ten seconds.
final class Patience: @unchecked Sendable {
    private let timer: any DispatchSourceTimer
    private let state: Mutex<State>

    private struct State {
        var isOver = false
        var said = ""
        var saidAt = ContinuousClock.now
    }

    private static let (first, interval, longest) = (1.5, 1.0, 10.0)

    /// - Parameter text: what to say, asked for each time on another thread.
    init(_ text: @escaping @Sendable () -> String) {
        let began = ContinuousClock.now
        timer = DispatchSource.makeTimerSource(queue: .global(qos: .userInitiated))
        state = Mutex(State())
        timer.schedule(deadline: .now() + Self.first, repeating: Self.interval)
        timer.setEventHandler { [weak self] in self?.say(text(), since: began) }
        timer.resume()
    }

    deinit { timer.cancel() }

    private func say(_ text: String, since began: ContinuousClock.Instant) {
        state.withLock { state in
            let now = ContinuousClock.now
            guard !state.isOver, text != state.said || now - state.saidAt >= .seconds(Self.longest) else {
                return
            }
            let seconds = Int(clamping: (now - began) / .seconds(1))
            Output.note(text == state.said ? "\(text), for \(seconds) s" : text)
            (state.said, state.saidAt) = (text, now)
        }
    }

    /// Nothing is said once this has returned.
    func end() {
        state.withLock { $0.isOver = true }
        timer.cancel()
    }

    /// Says what `body` is doing where it takes long.
    static func during<Result>(_ text: String, _ body: () throws -> Result) rethrows -> Result {
        let patience = Patience { text }
        defer { patience.end() }
        return try body()
    }
}
