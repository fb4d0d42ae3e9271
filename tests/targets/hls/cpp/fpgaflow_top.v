// Stands for a network: the sum of a sample's 3 beats, then that plus one. Holds up to 32 samples.
module fpgaflow_top (
    input  wire aclk,
    input  wire aresetn,
    input  wire [31:0] s_axis_tdata,
    input  wire s_axis_tvalid,
    output wire s_axis_tready,
    input  wire s_axis_tlast,
    output wire [31:0] m_axis_tdata,
    output wire m_axis_tvalid,
    input  wire m_axis_tready,
    output wire m_axis_tlast
);
    reg [31:0] sums [0:31];
    reg [31:0] sum;
    reg [5:0] written, taken;
    reg second;
    assign s_axis_tready = written - taken != 6'd32;
    assign m_axis_tvalid = written != taken;
    assign m_axis_tdata = sums[taken[4:0]] + {31'd0, second};
    assign m_axis_tlast = second;
    always @(posedge aclk) begin
        if (!aresetn) begin
            sum <= 0;
            written <= 0;
            taken <= 0;
            second <= 0;
        end else begin
            if (s_axis_tvalid && s_axis_tready) begin
                sum <= s_axis_tlast ? 0 : sum + s_axis_tdata;
                if (s_axis_tlast) begin
                    sums[written[4:0]] <= sum + s_axis_tdata;
                    written <= written + 6'd1;
                end
            end
            if (m_axis_tvalid && m_axis_tready) begin
                second <= !second;
                if (second)
                    taken <= taken + 6'd1;
            end
        end
    end
endmodule
