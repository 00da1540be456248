/// One key of a suite that may have several values: for each, what it changes.
struct Axis<Point> {
    let choices: [(inout Point) -> Void]
}

/// A product of axes, the first outermost.
struct Grid<Point> {
    private(set) var axes: [Axis<Point>] = []

    mutating func add(_ choices: [(inout Point) -> Void]) { axes.append(Axis(choices: choices)) }

    /// How many points there are; nil beyond Int.
    var count: Int? {
        var product = 1
        for axis in axes {
            let (next, overflow) = product.multipliedReportingOverflow(by: axis.choices.count)
            if overflow { return nil }
            product = next
        }
        return product
    }

    /// Every point, the last axis moving fastest.
    func points(from base: Point) -> [Point] {
        axes.reduce([base]) { points, axis in
            points.flatMap { point in
                axis.choices.map { change in
                    var changed = point
                    change(&changed)
                    return changed
                }
            }
        }
    }
}
