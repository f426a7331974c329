// A client of grpc-go as anybody writes it, which knows nothing of Dubbo or Spanwire:
//
//	gopher HOST:PORT
//
// calls demo.Greeter a few times and prints each answer.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const calls = 20

func main() {
	connection, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	for number := range calls {
		fmt.Println(greet(connection, fmt.Sprintf("gopher %d", number)))
	}
}

func greet(connection *grpc.ClientConn, name string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	greeting := new(wrapperspb.StringValue)
	err := connection.Invoke(ctx, "/demo.Greeter/greet", wrapperspb.String(name), greeting)
	if err != nil {
		return "FAILED " + err.Error()
	}
	return greeting.Value
}
