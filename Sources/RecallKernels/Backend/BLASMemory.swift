import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The memory that OpenBLAS works in: a piece for each product under way, which it keeps from then on.
///
/// It takes a piece when a product needs one, and where the system refuses it, asks again without end. So all pieces are
/// taken here, before there are products.
final class BLASMemory: Sendable {
    typealias Take = @convention(c) (Int32) -> UnsafeMutableRawPointer?
    typealias GiveBack = @convention(c) (UnsafeMutableRawPointer?) -> Void

    private struct State {
        /// Products that may be under way at once.
        var users = 0
        /// The most of them that there were pieces for.
        var pieces = 0
    }

    private let state = Mutex(State())
    private let take: Take
    private let giveBack: GiveBack
    private let map: @Sendable (_ bytes: Int) -> Bool

    /// Bytes that a piece takes at most: 128 MiB on x86-64, and less elsewhere.
    static let pieceBytes = 132 << 20

    /// - Parameter map: whether the system has so many bytes of address space; another one for tests.
    init(
        take: @escaping Take,
        giveBack: @escaping GiveBack,
        map: @escaping @Sendable (_ bytes: Int) -> Bool = BLASMemory.isThere
    ) {
        (self.take, self.giveBack, self.map) = (take, giveBack, map)
    }

    private static func isThere(_ bytes: Int) -> Bool {
        guard let address = Pages.map(bytes: bytes) else { return false }
        Pages.unmap(address, bytes: bytes)
        return true
    }

    /// Sees to it that so many products more may be under way at once, until `release`.
    ///
    /// - Throws: `BackendError.outOfMemory`; then there is nothing to release.
    func reserve(_ users: Int) throws(BackendError) {
        let error = state.withLock { state -> BackendError? in
            let wanted = state.users + users
            // Held all at once, so that they are different ones.
            var held: [UnsafeMutableRawPointer?] = []
            defer { for piece in held { giveBack(piece) } }
            while state.pieces < wanted, held.count < wanted {
                guard held.count < state.pieces || map(Self.pieceBytes) else {
                    return .outOfMemory(bytes: Self.pieceBytes)
                }
                held.append(take(0))
            }
            state.pieces = max(state.pieces, held.count)
            state.users = wanted
            return nil
        }
        if let error { throw error }
    }

    func release(_ users: Int) { state.withLock { $0.users -= users } }
}
