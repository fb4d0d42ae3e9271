// LUTs and constants of Gowin (UG288), for a techmap.
module VCC (output V);
  assign V = 1;
endmodule
module GND (output G);
  assign G = 0;
endmodule
module LUT1 (output F, input I0);
  parameter [1:0] INIT = 0;
  \$lut #(.WIDTH(1), .LUT(INIT)) lut (.A(I0), .Y(F));
endmodule
module LUT2 (output F, input I0, I1);
  parameter [3:0] INIT = 0;
  \$lut #(.WIDTH(2), .LUT(INIT)) lut (.A({I1, I0}), .Y(F));
endmodule
module LUT3 (output F, input I0, I1, I2);
  parameter [7:0] INIT = 0;
  \$lut #(.WIDTH(3), .LUT(INIT)) lut (.A({I2, I1, I0}), .Y(F));
endmodule
module LUT4 (output F, input I0, I1, I2, I3);
  parameter [15:0] INIT = 0;
  \$lut #(.WIDTH(4), .LUT(INIT)) lut (.A({I3, I2, I1, I0}), .Y(F));
endmodule
