package demo;

import com.google.protobuf.StringValue;

/** The same greeting in messages of protobuf, which clients of gRPC send. */
public interface Greeter {
    StringValue greet(StringValue name);
}
