// The events of Yams' own libYAML: Yams itself composes a whole document, whatever its aliases come to, before anybody can
// look at it.
internal import CYaml

/// A piece of a YAML document.
struct YAMLEvent {
    enum Content: Equatable {
        case streamStart, streamEnd, documentStart, documentEnd
        case alias(String)
        /// `plain` is false for a quoted scalar or a block of text.
        case scalar(String, plain: Bool)
        case listStart, listEnd, mappingStart, mappingEnd
    }

    let content: Content
    let place: Place
    /// The name that aliases have for it.
    let anchor: String?
    /// nil where there is none, or none but that of a quoted text.
    let tag: String?
}

/// What libYAML has against a text.
struct YAMLFault: Error {
    let problem: String
    let place: Place
    /// What it was about, and where that began.
    let context: (text: String, place: Place)?
}

/// Tells the events of a text one by one. What it needs for that grows with the text alone.
final class YAMLEvents {
    private let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
    /// libYAML keeps a pointer to the text.
    private let bytes: UnsafeMutableBufferPointer<UInt8>
    private let isReady: Bool

    init(_ text: String) {
        let utf8 = Array(text.utf8)
        bytes = .allocate(capacity: utf8.count)
        _ = bytes.initialize(fromContentsOf: utf8)
        parser.initialize(to: yaml_parser_t())
        isReady = yaml_parser_initialize(parser) == 1
        guard isReady else { return }
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
        bytes.deallocate()
    }

    /// The next event; `streamEnd` again and again at the end.
    ///
    /// - Throws: `YAMLFault`, after which there are no more.
    func next() throws(YAMLFault) -> YAMLEvent {
        var event = yaml_event_t()
        guard isReady, yaml_parser_parse(parser, &event) == 1 else { throw fault }
        defer { yaml_event_delete(&event) }
        let data = event.data
        let (content, anchor, tag): (YAMLEvent.Content, String?, String?) =
            switch event.type {
            case YAML_STREAM_START_EVENT: (.streamStart, nil, nil)
            case YAML_DOCUMENT_START_EVENT: (.documentStart, nil, nil)
            case YAML_DOCUMENT_END_EVENT: (.documentEnd, nil, nil)
            case YAML_ALIAS_EVENT: (.alias(Self.text(data.alias.anchor) ?? ""), nil, nil)
            case YAML_SCALAR_EVENT:
                (
                    .scalar(
                        String(
                            decoding: UnsafeBufferPointer(start: data.scalar.value, count: data.scalar.length),
                            as: UTF8.self
                        ),
                        plain: data.scalar.style == YAML_PLAIN_SCALAR_STYLE
                    ),
                    Self.text(data.scalar.anchor),
                    data.scalar.quoted_implicit == 0 ? Self.text(data.scalar.tag) : nil
                )
            case YAML_SEQUENCE_START_EVENT:
                (
                    .listStart, Self.text(data.sequence_start.anchor),
                    data.sequence_start.implicit == 0 ? Self.text(data.sequence_start.tag) : nil
                )
            case YAML_SEQUENCE_END_EVENT: (.listEnd, nil, nil)
            case YAML_MAPPING_START_EVENT:
                (
                    .mappingStart, Self.text(data.mapping_start.anchor),
                    data.mapping_start.implicit == 0 ? Self.text(data.mapping_start.tag) : nil
                )
            case YAML_MAPPING_END_EVENT: (.mappingEnd, nil, nil)
            default: (.streamEnd, nil, nil)
            }
        return YAMLEvent(content: content, place: Place(event.start_mark), anchor: anchor, tag: tag)
    }

    private static func text(_ pointer: UnsafePointer<UInt8>?) -> String? {
        pointer.map { String(cString: $0) }
    }

    private var fault: YAMLFault {
        let parser = parser.pointee
        guard let problem = parser.problem else {
            return YAMLFault(problem: "there is no memory to read it", place: .start, context: nil)
        }
        // The reader, before there are lines, has no mark.
        let isRead = parser.error != YAML_READER_ERROR
        return YAMLFault(
            problem: String(cString: problem),
            place: isRead ? Place(parser.problem_mark) : .start,
            context: isRead ? parser.context.map { (String(cString: $0), Place(parser.context_mark)) } : nil
        )
    }
}

extension Place {
    fileprivate init(_ mark: yaml_mark_t) { self.init(line: mark.line + 1, column: mark.column + 1) }
}
