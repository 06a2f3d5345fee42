-- A GET with nothing but Host.
dofile("report.lua")
