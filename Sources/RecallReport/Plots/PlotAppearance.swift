import RecallModels
import RecallSuite

/// The colour and the marker of a model: the same in every figure, whatever else is in it.
public struct PlotAppearance: Equatable, Sendable {
    public var colour: String
    public var shape: PlotMarker.Shape
    public var dashes: [Int]

    /// Okabe and Ito, Color universal design, 2008, but for the yellow, which is lost on white: a grey is in its place.
    static let palette = [
        "#000000", "#56B4E9", "#009E73", "#E69F00", "#CC79A7", "#D55E00", "#0072B2", "#888888",
    ]

    /// The colour on a dark ground: black would be lost there.
    public var colourOnDark: String { colour == Self.palette[0] ? "#FFFFFF" : colour }

    /// The presets in their order, then the mixers that have none.
    static let known: [String] = {
        var names = ModelPresets.presets.map(\.name)
        names += MixerRegistry.names.filter { !names.contains($0) }
        return names
    }()

    /// Colours and shapes in step: 24 that differ, and 24 more with the shapes shifted by one.
    static let count = 48

    /// What a sweep calls its control: softmax attention, in its colour.
    private static let controlSlot = 24

    /// - Parameter slot: from 0 to 47. Those that neither a preset nor a mixer nor the control has are dashed.
    init(slot: Int) {
        colour = Self.palette[slot % Self.palette.count]
        let shapes = PlotMarker.Shape.allCases
        shape = shapes[(slot + slot / 24) % shapes.count]
        dashes = slot < Self.known.count || slot == Self.controlSlot ? [] : [6, 3]
    }

    /// A slot each: a preset's or mixer's own; for any other name one that its bytes choose, or the next that is free where
    /// names of one figure would share it.
    ///
    /// - Parameter models: names; where there are more than slots, some look alike.
    public static func of(_ models: [String]) -> [String: PlotAppearance] {
        var found: [String: PlotAppearance] = [:]
        // Grey, the palette's last, would be taken for the frontier.
        var free = (known.count..<count).filter { $0 != controlSlot && $0 % palette.count != palette.count - 1 }
        let others = free
        for name in Set(models).sorted() {
            if let place = known.firstIndex(of: name) {
                found[name] = PlotAppearance(slot: place)
            } else if name == StateSizeSweep.controlName {
                found[name] = PlotAppearance(slot: controlSlot)
            } else {
                let wanted = others[Int(hash(name) % UInt64(others.count))]
                if free.isEmpty { free = others }
                let slot = free.first { $0 >= wanted } ?? free[0]
                free.removeAll { $0 == slot }
                found[name] = PlotAppearance(slot: slot)
            }
        }
        return found
    }

    /// FNV-1a of the name's bytes, for it must not change from one process to the next.
    private static func hash(_ name: String) -> UInt64 {
        name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }

    /// Points of one model that differ in size or setting: the dashes tell their curves apart.
    static let dashPatterns: [[Int]] = [[], [7, 3], [2, 3], [9, 3, 2, 3], [14, 4], [3, 6]]
}
