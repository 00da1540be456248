import Foundation

extension CocoaError {
    /// The operating system's words where the error has them: "No space left on device".
    public var systemReason: String {
        let reason = (self as NSError).userInfo[NSUnderlyingErrorKey] as? POSIXError
        return reason.map { String(cString: strerror($0.code.rawValue)) } ?? localizedDescription
    }

    /// The file that it is about, where the error has it, and the reason.
    public var fileAndReason: String {
        let path = (self as NSError).userInfo[NSFilePathErrorKey] as? String
        return path.map { "\($0): \(systemReason)" } ?? systemReason
    }
}
