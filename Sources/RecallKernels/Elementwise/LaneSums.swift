extension SIMD16<Float> {
    /// The sum of the lanes, added as a tree (the standard library's `sum()` adds them one after the other).
    @inline(always)
    var treeSum: Float {
        let eight = lowHalf + highHalf
        let four = eight.lowHalf + eight.highHalf
        let two = four.lowHalf + four.highHalf
        return two[0] + two[1]
    }
}
