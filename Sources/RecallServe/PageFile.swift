import Hummingbird

/// A file of the page, which lies in the binary.
struct PageFile: Sendable {
    let type: String
    let bytes: [UInt8]

    /// By their paths.
    static func all(_ words: PageWords) -> [String: PageFile] {
        [
            "/": PageFile(
                type: "text/html; charset=utf-8",
                bytes: words.filled(in: PackageResources.index_html)
            ),
            "/style.css": PageFile(type: "text/css; charset=utf-8", bytes: PackageResources.style_css),
            "/icon.svg": PageFile(type: "image/svg+xml", bytes: PackageResources.icon_svg),
            "/main.js": script(PackageResources.main_js), "/dom.js": script(PackageResources.dom_js),
            "/text.js": script(PackageResources.text_js), "/tables.js": script(PackageResources.tables_js),
            "/axes.js": script(PackageResources.axes_js), "/charts.js": script(PackageResources.charts_js),
        ]
    }

    private static func script(_ bytes: [UInt8]) -> PageFile {
        PageFile(type: "text/javascript; charset=utf-8", bytes: bytes)
    }

    var response: Response {
        Response(
            status: .ok,
            headers: [.contentType: type],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes))
        )
    }
}
