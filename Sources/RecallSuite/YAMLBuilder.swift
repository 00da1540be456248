import Foundation

/// Makes a document's values of its events, and refuses what is too much before it is there: an alias costs no more than a
/// look at what it stands for.
struct YAMLBuilder {
    /// A value, with what an alias of it adds to a document.
    private struct Built {
        let value: YAMLValue
        var size = Size()
    }

    private struct Size {
        /// The value itself included.
        var values = 1
        /// Of the texts in it, keys among them.
        var bytes = 0
        /// How deep the values in it are nested: 0 for a scalar.
        var height = 0

        mutating func add(_ inner: Size) {
            values += inner.values
            bytes += inner.bytes
            height = max(height, inner.height + 1)
        }
    }

    private let text: YAMLText
    private let events: YAMLEvents
    /// The last value of each name: names may be given anew.
    private var anchors: [String: Built] = [:]
    /// Of the document so far, with what its aliases stand for.
    private var (values, bytes) = (0, 0)

    init(_ text: YAMLText, _ events: YAMLEvents) { (self.text, self.events) = (text, events) }

    /// The one document of the text; nil where there is none.
    ///
    /// - Throws: `SuiteError` at the first place where it is not YAML, or not what a suite may hold.
    mutating func document() throws(SuiteError) -> YAMLValue? {
        _ = try next()
        guard try next().content == .documentStart else { return nil }
        let root = try build(try next(), depth: 0)
        _ = try next()
        let after = try next()
        guard after.content == .streamEnd else {
            throw text.error(
                after.place,
                "a second document begins here; a suite is one document, so remove the other"
            )
        }
        return root.value
    }

    private func next() throws(SuiteError) -> YAMLEvent {
        do { return try events.next() } catch { throw text.explain(error) }
    }

    private mutating func build(_ event: YAMLEvent, depth: Int) throws(SuiteError) -> Built {
        if case .alias(let name) = event.content { return try share(name, event.place, depth: depth) }
        try count(values: 1, at: event.place)
        if depth > YAMLText.maximumDepth { throw text.tooDeep(event.place) }
        try refuse(tag: event.tag, at: event.place)
        let built =
            switch event.content {
            case .scalar(let word, let plain): try scalar(word, plain: plain, at: event.place)
            case .listStart: try list(from: event.place, depth: depth)
            case .mappingStart: try mapping(from: event.place, depth: depth)
            default: preconditionFailure("libYAML ends no collection that it has not begun")
            }
        if let anchor = event.anchor { anchors[anchor] = built }
        return built
    }

    private mutating func share(_ name: String, _ place: Place, depth: Int) throws(SuiteError) -> Built {
        guard let named = anchors[name] else { throw text.error(place, "not YAML: found undefined alias") }
        try count(values: named.size.values, bytes: named.size.bytes, at: place)
        if depth + named.size.height > YAMLText.maximumDepth { throw text.tooDeep(place) }
        return named
    }

    /// Counts what a document comes to. No summand is larger than the limits, so that no sum overflows.
    private mutating func count(values: Int = 0, bytes: Int = 0, at place: Place) throws(SuiteError) {
        self.values += values
        self.bytes += bytes
        if self.values > YAMLText.maximumValues {
            throw text.error(place, "more than \(YAMLText.maximumValues) values once aliases are expanded")
        }
        if self.bytes > YAMLText.maximumText {
            throw text.error(
                place,
                "more than \(YAMLText.maximumText >> 20) MiB of text once aliases are expanded"
            )
        }
    }

    private mutating func scalar(_ word: String, plain: Bool, at place: Place) throws(SuiteError) -> Built {
        try count(bytes: word.utf8.count, at: place)
        var built = Built(value: YAMLValue(place: place, content: .scalar(word, plain: plain)))
        built.size.bytes = word.utf8.count
        return built
    }

    private mutating func list(from place: Place, depth: Int) throws(SuiteError) -> Built {
        var items: [YAMLValue] = []
        var size = Size()
        while true {
            let event = try next()
            if event.content == .listEnd {
                return Built(value: YAMLValue(place: place, content: .list(items)), size: size)
            }
            let item = try build(event, depth: depth + 1)
            items.append(item.value)
            size.add(item.size)
        }
    }

    private mutating func mapping(from place: Place, depth: Int) throws(SuiteError) -> Built {
        var entries: [YAMLEntry] = []
        var places: [String: Place] = [:]
        var size = Size()
        while true {
            let event = try next()
            if event.content == .mappingEnd {
                return Built(value: YAMLValue(place: place, content: .mapping(entries)), size: size)
            }
            let key = try key(of: event)
            if let first = places.updateValue(event.place, forKey: key) {
                throw text.error(
                    event.place,
                    "key \(quoted(key)) is there twice (first in line \(first.line)); keep one of them"
                )
            }
            let value = try build(try next(), depth: depth + 1)
            entries.append(YAMLEntry(key: key, place: event.place, value: value.value))
            size.add(value.size)
            size.bytes += key.utf8.count
        }
    }

    private mutating func key(of event: YAMLEvent) throws(SuiteError) -> String {
        guard case .scalar(let word, let plain) = event.content else {
            throw text.error(event.place, "a key must be a plain word")
        }
        if word == "<<" {
            throw text.error(event.place, "merge keys are not understood; write the keys out")
        }
        // It is in the path of everything below it.
        guard word.utf8.count <= YAMLText.maximumKey else {
            throw text.error(event.place, "a key of \(word.utf8.count) bytes; no key of a suite is that long")
        }
        let built = try scalar(word, plain: plain, at: event.place)
        if let anchor = event.anchor { anchors[anchor] = built }
        return word
    }

    private func refuse(tag: String?, at place: Place) throws(SuiteError) {
        // Collections and texts may be tagged as what they are.
        let known = ["", "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"]
        guard let tag, !known.contains(tag) else { return }
        let written = tag.replacingOccurrences(of: "tag:yaml.org,2002:", with: "!!")
        throw text.error(place, "YAML tag \(quoted(written)) is not understood; remove it")
    }
}
