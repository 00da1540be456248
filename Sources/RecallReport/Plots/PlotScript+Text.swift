import Foundation

extension PlotScript {
    /// The commands of gnuplot, with the data in them; the same for the same figure, byte for byte.
    ///
    /// - Parameters:
    ///   - width, height: pixels of the whole figure; nil for what suits it.
    ///   - output: the file that gnuplot writes; nil for its standard output.
    /// - Throws: `PlotError.tooSmall`.
    public func text(
        _ format: PlotFormat,
        width: Int? = nil,
        height: Int? = nil,
        output: String? = nil
    ) throws(PlotError) -> String {
        let layout = try PlotLayout(self, width: width, height: height)
        let panels = panels.map(\.drawn)
        var lines = ["# A figure of recall-bench: `gnuplot -d` and this file's name draw it."]
        lines += Self.preamble(format, layout, output)
        for (index, panel) in panels.enumerated() {
            for (number, layer) in panel.layers.enumerated() {
                lines.append("\(Self.block(index, number)) << EOD")
                lines += layer.rows.map { $0.map { "\($0)" }.joined(separator: " ") } + ["EOD"]
            }
        }
        lines += ["set multiplot"] + Self.headings(format, layout) + Self.key(layout)
        for (index, panel) in panels.enumerated() {
            // What stands on the whole figure is drawn once, with the first panel.
            if index > 0 { lines += ["unset label", "unset arrow"] }
            lines += Self.panel(panel, index, layout.boxes[index], layout, format)
        }
        lines.append("unset multiplot")
        return lines.map { $0 + "\n" }.joined()
    }

    /// A text as gnuplot takes it, in single quotes: nothing in them means anything but the quote itself. A line's end would
    /// end the command, and no SVG may hold a control character.
    static func quoted(_ text: String) -> String {
        let printable = text.unicodeScalars.map { scalar in
            scalar.properties.generalCategory == .control || scalar == "\u{2028}" || scalar == "\u{2029}"
                || scalar.value & 0xFFFE == 0xFFFE ? " " : String(scalar)
        }.joined()
        guard printable.hasPrefix("'") || printable.contains("''") else {
            return "'" + printable.replacingOccurrences(of: "'", with: "''") + "'"
        }
        // gnuplot 5.4 ends the text at the second of two quotes, doubled or not, and a quote that comes first is one of two.
        // In double quotes everything else means something, so what could is written as its number.
        let escaped = printable.unicodeScalars.map { scalar in
            "'\"\\`$@".unicodeScalars.contains(scalar)
                ? String(format: "\\0%03o", scalar.value) : String(scalar)
        }.joined()
        return "\"" + escaped + "\""
    }

    private static let ink = "#222222"

    /// pngcairo counts letters in points.
    private static func points(_ pixels: Double) -> Double { 0.75 * pixels }

    private static func preamble(_ format: PlotFormat, _ layout: PlotLayout, _ output: String?) -> [String] {
        let size = "size \(layout.width),\(layout.height) noenhanced"
        let terminal =
            switch format {
            case .svg: "svg \(size) font 'sans-serif,\(Int(PlotLayout.fontSize))'"
            case .png: "pngcairo \(size) font 'sans-serif,\(Int(points(PlotLayout.fontSize)))' pointscale 1.4"
            }
        return [
            "set encoding utf8", "set terminal \(terminal) background rgb '#ffffff'",
            output.map { "set output \(quoted($0))" }, "unset key", "set border linecolor rgb '#666666'",
            "set tics nomirror out scale 0.6 textcolor rgb '\(ink)'",
            "set grid back linecolor rgb '#dcdcdc' linewidth 1 dashtype solid",
        ].compactMap(\.self)
    }

    private static func block(_ panel: Int, _ layer: Int) -> String { "$panel\(panel + 1)_layer\(layer + 1)" }

    // MARK: What stands on the whole figure

    private static func headings(_ format: PlotFormat, _ layout: PlotLayout) -> [String] {
        layout.headings.enumerated().map { index, heading in
            let top = 26 + 22 * Double(index)
            let size = Int(format == .svg ? PlotLayout.titleSize : points(PlotLayout.titleSize))
            return "set label \(quoted(heading.text)) at \(place(14, top, layout)) left font ',\(size)' "
                + "textcolor rgb '\(heading.isWarning ? "#c00000" : ink)'"
        }
    }

    /// Labels with points, and arrows without heads: gnuplot's own key breaks into columns as it likes.
    private static func key(_ layout: PlotLayout) -> [String] {
        layout.keyRows.flatMap { entry, texts, top in
            let middle = top + PlotLayout.lineHeight / 2
            let (left, right) = (layout.keyLeft, layout.keyLeft + PlotLayout.sampleWidth - 8)
            var lines: [String] = []
            if let line = entry.line {
                lines.append(
                    "set arrow from \(place(left, middle, layout)) to \(place(right, middle, layout)) nohead "
                        + stroke(line)
                )
            }
            if let bar = entry.bar {
                let centre = (left + right) / 2
                lines.append(
                    "set arrow from \(place(centre, middle - 6, layout)) to \(place(centre, middle + 6, layout)) "
                        + "nohead \(stroke(bar))"
                )
            }
            if let marker = entry.marker {
                lines.append(
                    "set label '' at \(place((left + right) / 2, middle, layout)) point \(self.marker(marker))"
                )
            }
            return lines
                + texts.enumerated().map { index, text in
                    let y = middle + PlotLayout.lineHeight * Double(index)
                    return "set label \(quoted(text)) at \(place(right + 8, y, layout)) left "
                        + "textcolor rgb '\(ink)'"
                }
        }
    }

    /// A place in pixels from the top left, as gnuplot counts: shares from the bottom left.
    private static func place(_ x: Double, _ y: Double, _ layout: PlotLayout) -> String {
        "screen \(share(x, layout.width)),\(share(Double(layout.height) - y, layout.height))"
    }

    private static func share(_ pixels: Double, _ all: Int) -> String {
        String(format: "%.5f", pixels / Double(all))
    }

    // MARK: Panels

    private static func panel(
        _ panel: PlotPanel,
        _ index: Int,
        _ box: PlotLayout.Box,
        _ layout: PlotLayout,
        _ format: PlotFormat
    ) -> [String] {
        let height = Double(layout.height)
        return [
            "set lmargin at screen \(share(box.left, layout.width))",
            "set rmargin at screen \(share(box.right, layout.width))",
            "set tmargin at screen \(share(height - box.top, layout.height))",
            "set bmargin at screen \(share(height - box.bottom, layout.height))",
            "set title \(quoted(panel.title)) offset 0,-0.4 textcolor rgb '\(ink)'",
        ]
            + axis("x", panel.x, titleOffset: "0,0.4", length: box.right - box.left) {
                PlotLayout.width(of: $0) + 10
            }
            // SVG's letters are taken for wider than they are, and the title stands too far out.
            + axis("y", panel.y, titleOffset: format == .svg ? "1,0" : "0,0", length: box.bottom - box.top) {
                _ in 2.1 * PlotLayout.fontSize
            }
            + [
                panel.x.zeroStrip.map { breakLine("first \($0.end),graph 0", "first \($0.end),graph 1") },
                panel.y.zeroStrip.map { breakLine("graph 0,first \($0.end)", "graph 1,first \($0.end)") },
                plot(panel, index),
            ].compactMap(\.self)
    }

    /// Where zero's strip ends and the logarithms begin.
    private static func breakLine(_ from: String, _ to: String) -> String {
        "set arrow from \(from) to \(to) nohead back \(stroke(PlotAxis.breakStroke))"
    }

    private static func axis(
        _ name: String,
        _ axis: PlotAxis,
        titleOffset: String,
        length: Double,
        room: (String) -> Double
    ) -> [String] {
        let ticks = axis.ticks(length: length, room: room).map { "\(quoted($0.text)) \($0.value)" }
        return [
            "unset logscale \(name)", axis.base.map { "set logscale \(name) \($0)" },
            "set \(name)range [\(axis.range.lowerBound):\(axis.range.upperBound)]",
            "set \(name)label \(quoted(axis.title)) offset \(titleOffset) textcolor rgb '\(ink)'",
            "set \(name)tics (\(ticks.joined(separator: ", ")))",
        ].compactMap(\.self)
    }

    private static func plot(_ panel: PlotPanel, _ index: Int) -> String {
        // The axes alone, which gnuplot draws beside something only.
        if panel.layers.isEmpty { return "plot NaN notitle" }
        let parts = panel.layers.enumerated().map { number, layer in
            let style =
                switch layer.style {
                case .line(let stroke): "using 1:2 with lines \(self.stroke(stroke))"
                case .steps(let stroke): "using 1:2 with steps \(self.stroke(stroke))"
                case .markers(let marker): "using 1:2 with points \(self.marker(marker))"
                case .bars(let stroke): "using 1:2:(0):3 with vectors nohead \(self.stroke(stroke))"
                }
            return "\(block(index, number)) \(style) title \(quoted(layer.name))"
        }
        return "plot " + parts.joined(separator: ", \\\n    ")
    }

    private static func stroke(_ stroke: PlotStroke) -> String {
        let dashes =
            stroke.dashes.isEmpty ? "solid" : "(\(stroke.dashes.map(String.init).joined(separator: ",")))"
        return "linecolor rgb '\(stroke.colour)' linewidth \(stroke.width) dashtype \(dashes)"
    }

    private static func marker(_ marker: PlotMarker) -> String {
        "pointtype \(marker.pointType) pointsize \(marker.size) linecolor rgb '\(marker.colour)' linewidth 1.5"
    }
}

extension PlotPanel {
    /// The panel with its numbers as they stand on the axes; what cannot be drawn leaves a gap, and a layer that nothing is
    /// left of is not there.
    fileprivate var drawn: PlotPanel {
        var panel = self
        for index in layers.indices { panel.layers[index].rows = layers[index].rows.map(drawn) }
        panel.layers.removeAll { $0.rows.allSatisfy(\.isEmpty) }
        return panel
    }

    private func drawn(_ row: [Double]) -> [Double] {
        guard row.count > 1, let x = x.position(row[0]), let y = y.position(row[1]),
            row.dropFirst(2).allSatisfy(\.isFinite)
        else { return [] }
        return [x, y] + row.dropFirst(2)
    }
}
