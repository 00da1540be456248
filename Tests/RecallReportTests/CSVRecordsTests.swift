import Foundation
import RecallData
import RecallStore
import Testing

@testable import RecallReport

/// Tables that went through another program on their way.
@Suite struct CSVRecordsTests {
    private func points(_ text: String) throws -> [TradeoffPoint] {
        let file = try CSVRecords(text, path: "t.csv", requiring: TradeoffPoint.requiredColumns)
        return try TradeoffPlot(file, suite: nil).points
    }

    private func refusal(_ text: String) -> String {
        do {
            _ = try points(text)
            return "nothing"
        } catch { return (error as? DataFileError)?.message ?? "\(error)" }
    }

    private static let plain = """
        suite,model,config,state_bytes,test_accuracy_mean,learning_rate_at_edge,test_accuracy_min,test_accuracy_max
        s,"a, b","{""d_model"":16}",2048,0.5,true,0.4,0.6
        s,c,{},0,0.25,false,,

        """

    /// As pandas, R, Excel and others write it: each has the points of the plain text.
    @Test(arguments: [
        ("booleans of pandas", plain.replacing("true", with: "True").replacing("false", with: "False")),
        ("booleans of R", plain.replacing("true", with: "TRUE").replacing("false", with: "FALSE")),
        ("a byte order mark", "\u{FEFF}" + plain), ("CRLF", plain.replacing("\n", with: "\r\n")),
        ("all of these", "\u{FEFF}" + plain.replacing("true", with: "tRuE").replacing("\n", with: "\r\n")),
        ("no last line end", String(plain.dropLast())), ("blank lines", plain + "\n\r\n\n"),
        ("empty numbers as nan", plain.replacing("false,,", with: "false,NaN,nan")),
        (
            "whole numbers as floats",
            plain.replacing(",2048,", with: ",2048.0,").replacing(",0,", with: ",0.0,")
        ),
        (
            "every field quoted",
            """
            "suite","model","config","state_bytes","test_accuracy_mean","learning_rate_at_edge","test_accuracy_min","test_accuracy_max"
            "s","a, b","{""d_model"":16}","2048","0.5","true","0.4","0.6"
            "s","c","{}","0","0.25","false","",""
            """
        ),
        (
            "columns in another order, with others",
            """
            ,test_accuracy_max,learning_rate_at_edge,note,test_accuracy_mean,model,test_accuracy_min,state_bytes,config,suite
            0,0.6,true,"one
            line, another",0.5,"a, b",0.4,2048,"{""d_model"":16}",s
            1,,false,,0.25,c,,0,{},s
            """
        ),
    ])
    func whatOtherProgramsWriteIsRead(name: String, text: String) throws {
        let expected = try points(Self.plain)
        #expect(
            expected.map(\.learningRateAtEdge) == [true, false] && expected.map(\.stateBytes) == [2048, 0]
        )
        #expect(expected.map(\.model) == ["a, b", "c"] && expected.map(\.extent) == [0.4...0.6, nil])
        #expect(try points(text) == expected, "\(name)")
    }

    @Test(arguments: [
        ("", "it is empty; a CSV has a header"),
        ("suite,model\n", "its header has no columns 'config', 'state_bytes', 'test_accuracy_mean'"),
        (plain.replacing(",config,", with: ",configuration,"), "its header has no column 'config'"),
        (plain.replacing("test_accuracy_max", with: "model"), "its header has 'model' twice"),
        (plain.replacing("true", with: "yes"), "line 2, learning_rate_at_edge: 'yes' is not true or false"),
        (plain.replacing("2048", with: "-1"), "line 2, state_bytes: '-1' is not a whole number, 0 or more"),
        (
            plain.replacing("2048", with: "1e300"),
            "line 2, state_bytes: '1e300' is not a whole number, 0 or more"
        ),
        (plain.replacing("2048", with: "1.5"), "line 2, state_bytes: '1.5' is not a whole number, 0 or more"),
        (plain.replacing("2048", with: ""), "line 2, state_bytes: '' is not a number"),
        (plain.replacing("0.5,", with: "50,"), "line 2, test_accuracy_mean: '50' is not from 0 to 1"),
        (plain.replacing("0.5,", with: "inf,"), "line 2, test_accuracy_mean: 'inf' is not a number"),
        (plain.replacing("0.5,", with: "nan,"), "line 2, test_accuracy_mean: 'nan' is not a number"),
        (
            plain.replacing("0.6", with: "0.3"),
            "line 2, test_accuracy_max: '0.3' is not at or above test_accuracy_min"
        ),
    ])
    func whatIsWrongIsSaid(text: String, message: String) { #expect(refusal(text) == message) }

    /// The whole of what the program itself writes, and the seeds in it.
    @Test func seedsAreReadBack() throws {
        let row =
            "suite,model,config,state_bytes,test_accuracy_mean,test_accuracy_seeds,seed_names,test_labels\ns,m,{},1,0.5,"
        let point = try #require(try points(row + "0.25;0.75,0/1;0/2,128\n").first)
        #expect(
            point.seeds.map(\.accuracy) == [0.25, 0.75] && point.contender.seeds == ["0/1": 0.25, "0/2": 0.75]
        )
        #expect(point.contender.testLabels == 128)
        #expect(try points(row + "0.25;0.75,,\n").first?.contender.seeds == [:])
        #expect(refusal(row + "0.25;2,0/1;0/2,\n").contains("test_accuracy_seeds: '0.25;2' is not a list"))
        #expect(refusal(row + "0.25;1,0/1,\n").contains("seed_names: '0/1' is not a name for each"))
        #expect(refusal(row + "0.25,0/1,0\n") == "line 2, test_labels: '0' is not above 0")
    }
}
