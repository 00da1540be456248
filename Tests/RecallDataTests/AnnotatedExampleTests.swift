import Foundation
import RecallData
import Testing

@Suite struct AnnotatedExampleTests {
    @Test func showsPairsQueriesAndSequence() {
        let generator = MQARGenerator(smallTask())
        let text = AnnotatedExample(generator, .train, segment: 0, example: 2).description
        let expected = """
            train segment 0, example 2
            L = 32, 4 pairs, vocabulary 64

            pairs (key → value)
               5 → 33  21 → 36  27 → 48   7 → 40

            queries (gap: tokens from the key's first place to the query)
              position   key       gap   answer
                     8     7         2       40
                    10     5        10       33
                    14    21        12       36
                    28    27        24       48

            sequence (queries in brackets, fillers as dots)
                   0    5  33  21  36  27  48   7  40 [ 7]  · [ 5]  ·   ·   · [21]  ·   ·   ·   ·   ·
                  20    ·   ·   ·   ·   ·   ·   ·   · [27]  ·   ·   ·
            """
        #expect(text == expected)
    }

    @Test func queriesAreTheLabels() {
        let generator = MQARGenerator(smallTask(vocabSize: 8192, length: 128, pairs: 8))
        let data = SegmentData.make(generator, .test, 0, firstExample: 5, examples: 1)
        let lines = "\(AnnotatedExample(generator, .test, segment: 0, example: 5))".split(
            separator: "\n",
            omittingEmptySubsequences: false
        )
        let header = lines.firstIndex { $0.contains("position") }!
        for label in 0..<8 {
            let position = Int(data.labelPositions[label])
            let key = data.tokens[position]
            let place = (0..<8).first { data.tokens[2 * $0] == key }! * 2
            let numbers = lines[header + 1 + label].split(separator: " ").compactMap { Int($0) }
            #expect(numbers == [position, Int(key), position - place, Int(data.labels[label])])
        }
    }

    @Test func fillersCanBeNumbers() {
        let generator = MQARGenerator(smallTask())
        let data = SegmentData.make(generator, .train, 0, examples: 1)
        let text = AnnotatedExample(generator, .train, segment: 0, example: 0, fillers: .numbers).description
        let sequence = text.components(separatedBy: "brackets)\n")[1].split(separator: "\n")
        let numbers = sequence.flatMap { row in
            row.split { " []".contains($0) }.dropFirst().compactMap { Int32($0) }
        }
        #expect(numbers == data.tokens)
        #expect(!text.contains("·"))
    }

    @Test(arguments: [
        (64, 32, 4), (8192, 1024, 256), (1 << 24, 64, 16), (4, 4, 1), (8192, 1 << 17, 3),
    ])
    func linesFitAHundredColumns(vocabSize: Int, length: Int, pairs: Int) {
        let generator = MQARGenerator(smallTask(vocabSize: vocabSize, length: length, pairs: pairs))
        for fillers in [AnnotatedExample.FillerStyle.dots, .numbers] {
            let text = AnnotatedExample(generator, .train, segment: 0, example: 0, fillers: fillers).description
            let lines = text.split(separator: "\n")
            #expect(lines.allSatisfy { $0.count <= 100 && $0.last != " " })
            #expect(lines.count { $0.contains("[") } >= 1)
        }
    }
}
