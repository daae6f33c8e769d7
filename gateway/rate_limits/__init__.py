"""The limits of one caller in a window of time, in one process or shared by several over Redis."""
