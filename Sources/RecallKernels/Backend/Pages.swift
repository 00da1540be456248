#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Whole pages of memory, straight from the system and back: what is given back counts as this process's no more.
enum Pages {
    /// What the processors' large pages hold.
    private static let largePage = 2 << 20

    /// Memory that becomes resident as it is touched, or nil where the system has no address space for it.
    static func map(bytes: Int) -> UnsafeMutableRawPointer? {
        let address = mmap(
            nil,
            bytes,
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
            -1,
            0
        )
        guard let address, address != MAP_FAILED else { return nil }
        #if os(Linux)
            // A kernel that walks many rows far apart needs a page's address for each: with large pages one look-up does
            // for 512 small ones. Only a wish: a system without them serves small ones.
            if bytes >= 2 * largePage { madvise(address, bytes, MADV_HUGEPAGE) }
        #endif
        return address
    }

    static func unmap(_ address: UnsafeMutableRawPointer, bytes: Int) {
        munmap(address, bytes)
    }
}
