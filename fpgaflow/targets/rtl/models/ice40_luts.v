// LUTs of iCE40 as tables, for a techmap.
module SB_LUT4 (output O, input I0, I1, I2, I3);
  parameter [15:0] LUT_INIT = 0;
  \$lut #(.WIDTH(4), .LUT(LUT_INIT)) lut (.A({I3, I2, I1, I0}), .Y(O));
endmodule
