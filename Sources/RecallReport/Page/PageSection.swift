import RecallSuite

/// A command that a reader can copy, and what it does.
public struct PageCommand: Equatable, Sendable {
    public var purpose: String
    public var command: String

    init(_ purpose: String, _ command: String) { (self.purpose, self.command) = (purpose, command) }

    init(_ purpose: String, _ command: ShellCommand) { self.init(purpose, command.description) }
}

/// A part of a page under a heading of its own.
public struct PageSection: Equatable, Sendable {
    /// What leads here: letters and hyphens.
    public let id: String
    public let title: String
    public var paragraphs: [String] = []
    public var figure: PageFigure?
    public var tables: [PageTable] = []
    public var commands: [PageCommand] = []

    init(_ id: String, _ title: String) { (self.id, self.title) = (id, title) }
}
